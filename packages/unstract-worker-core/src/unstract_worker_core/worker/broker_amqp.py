"""py-amqp's transport, bounded: a broker that falls silent within a frame does not hold its reader for good.

Defect of py-amqp 5.4 that this module closes: where nothing is to be read, it says so at a frame's beginning only.
Within one it asks again, at once and for ever: no heartbeat is missed, no bound of time holds, and the worker stays on
that connection. Here it says so at any byte; what has arrived is kept, and the frame is read on when more comes.

Defect of kombu 5.7: of several brokers, each certificate is checked against the name of the first, since
`server_hostname` is kept from one connection to the next. Here the name is that of the broker which is connected to.

To see it: let a relay pass on half a frame and then nothing (`test_brokers_silence`, `test_core_app_broker_amqp`).
Unnecessary once py-amqp's `read_frame` raises its timeout within a frame too, and kombu sets the name each time.
"""

from typing import Any

from amqp.transport import SSLTransport, TCPTransport, to_host_port
from kombu.transport import pyamqp


class _Plain(TCPTransport):  # type: ignore[misc]
    def _read(self, n: int, *_: object) -> Any:
        return super()._read(n, initial=True)


class _Tls(SSLTransport):  # type: ignore[misc]
    def _read(self, n: int, *_: object) -> Any:
        return super()._read(n, initial=True)


class _Connection(pyamqp.Connection):
    def Transport(self, host: str, connect_timeout: float, *others: Any, **options: Any) -> Any:  # noqa: N802
        ssl, read_timeout, write_timeout = others
        if ssl and (name := to_host_port(host)[0]) != "127.0.0.1":  # where it is, `broker.tls_options` knows the name
            ssl = {**ssl, "server_hostname": name}
        options |= {"read_timeout": read_timeout, "write_timeout": write_timeout}
        return (_Tls if ssl else _Plain)(host, connect_timeout, ssl=ssl, **options)


class BoundedTransport(pyamqp.Transport):
    """amqp or amqps."""

    Connection = _Connection
