# One image for all programs; docker-compose.yml says which one runs. Only Debian 12 packages are fetched.
#   docker build --tag scheduler:0.1 .

FROM debian:12-slim AS build
WORKDIR /src
# What building needs, by the same script as everywhere; in a layer of its own, which changes seldom.
COPY dev ./
COPY scripts/lib.sh scripts/packages.txt scripts/
RUN ./dev setup
COPY . ./
RUN ./dev build release scheduler scheduler-api scheduler-dispatcher scheduler-worker scheduler-cli

FROM debian:12-slim
# The libraries of the programs (tests/scripts/container_test.py compares), the time zones of schedules, the certificates
# of HTTP tasks, and what runs python tasks.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates \
        libboost-json1.81.0 \
        libcurl4 \
        libdate-tz3 \
        libfmt9 \
        libhiredis0.14 \
        libpq5 \
        libprometheus-cpp-core1.0 \
        librabbitmq4 \
        libsodium23 \
        libspdlog1.10 \
        libsqlite3-0 \
        libstdc++6 \
        libtomlplusplus3 \
        python3 \
        tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/scheduler --create-home --shell /usr/sbin/nologin scheduler
COPY --from=build /src/build/release/bin/ /usr/local/bin/
COPY config/production.toml /etc/scheduler/production.toml
ENV SCHEDULER_CONFIG=/etc/scheduler/production.toml
USER scheduler
WORKDIR /var/lib/scheduler
CMD ["scheduler-api"]
