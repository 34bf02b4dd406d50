"""A wire between a program and a real server that a test can cut or freeze."""
import socket
import threading


class TcpProxy:
    """Listens on loopback and hands everything on to `target`, (host, port)."""

    def __init__(self, target):
        self.target, self.pairs, self.lock = target, set(), threading.Lock()
        self.is_away, self.flows = False, threading.Event()
        self.flows.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def away(self):
        """Ends every connection; new ones are ended at once."""
        with self.lock:
            self.is_away = True
            for pair in list(self.pairs):
                self._end(pair)

    def freeze(self):
        """Takes connections, and hands nothing on: a server whose host hangs."""
        self.flows.clear()

    def back(self):
        with self.lock:
            self.is_away = False
        self.flows.set()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        self.flows.wait()
        with self.lock:
            if self.is_away:
                client.close()
                return
        try:
            server = socket.create_connection(self.target, timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = (client, server)
        with self.lock:
            self.pairs.add(pair)
        for source, sink in (pair, pair[::-1]):
            threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True).start()

    def _pump(self, pair, source, sink):
        try:
            while data := source.recv(1 << 16):
                self.flows.wait()
                sink.sendall(data)
        except OSError:
            pass
        with self.lock:
            self._end(pair)

    def _end(self, pair):
        if pair not in self.pairs:
            return
        self.pairs.remove(pair)
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
