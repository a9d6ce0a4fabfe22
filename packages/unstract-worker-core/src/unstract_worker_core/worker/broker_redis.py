"""kombu's transport for Redis, extended so that no message is lost on its way into a worker.

Defects of kombu 5.7 that this module closes:

- A message is popped with BRPOP and noted as unacknowledged in a second call. A worker that dies between the two, or
  whose connection breaks while the answer is on its way, has lost it (kombu issues 305 and 1836, celery 4354 and 7950).
  To see it: kill consumers of kombu's own transport at random while messages arrive, and count
  (`test_kombu_alone_loses_a_message` does it at the worst moment).
- An unacknowledged message is given back after `visibility_timeout`, even while its worker still works on it.
- A stored item that is no message envelope raises in the event loop, again at each start: it ends the worker.
- A server that was demoted to a replica is kept, and refuses each command for ever; a silent one is noticed late.

How: a blocking BLMOVE of a queue onto itself only shows that there is an item (a "peek"), and one script takes it and
notes it, so that it is always in one of the two places. One connection per queue waits, since BLMOVE takes one key.
Items of other priorities, which the platform does not use, are seen at the next peek, a second later.

Unnecessary once kombu takes and notes in one step, renews what it holds, and guards its reading of envelopes. It
touches private parts of kombu's `Channel`, `QoS` and `MultiChannelPoller`.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.resources import files
from queue import Empty
from time import monotonic, time
from typing import Any

from attrs import define
from kombu.transport.redis import Channel, MultiChannelPoller, QoS, SentinelChannel, SentinelTransport, Transport
from kombu.transport.virtual import Message
from kombu.transport.virtual import QoS as InMemoryQoS
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from kombu.utils.objects import cached_property
from redis import Connection, SSLConnection
from redis.commands.core import Script
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from unstract_worker_core.failpoints import hit
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.redis import refusal_of
from unstract_worker_core.worker.broker import permanent_refusal
from unstract_worker_core.worker.rejected_messages import BODY_LIMIT, MALFORMED

log = get_logger(__name__)
_listeners: list[Callable[[str, str], None]] = []

# Bytes of a whole item: the largest body as Base64, with room for the headers.
ENVELOPE_LIMIT = BODY_LIMIT * 11 // 8
PEEK, PEEK_SECONDS = "PEEK ", 1
# A peek that has no answer this long after its second was up will not get one: the connection is half open.
_LATE_SECONDS = 3


class _NotAnEnvelope(Exception):
    pass


def on_malformed(listener: Callable[[str, str], None]) -> None:
    """Call `listener(queue, reason)` for each malformed item of this process; it was taken from its queue already."""
    _listeners[:] = [listener]


class LeasedQoS(QoS):
    """What this process took and did not acknowledge yet; a living worker keeps what it holds by renewing it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Tags that Redis notes already and that are not delivered yet.
        self.noted: set[str] = set()
        # Tags that are acknowledged, and still noted.
        self._done: list[str] = []

    def append(self, message: Any, delivery_tag: str) -> None:
        """A message was delivered."""
        if delivery_tag not in self.noted:
            super().append(message, delivery_tag)
            return
        self.noted.discard(delivery_tag)
        InMemoryQoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Drop its note; an event loop drops those of several messages together, before it waits again."""
        InMemoryQoS.ack(self, delivery_tag)
        self._done.append(delivery_tag)
        if not self.channel.connection.in_loop:
            self.drop_done()

    def drop_done(self) -> None:
        """Drop the notes. If Redis refuses, they stay and the messages are delivered again, which is harmless."""
        if not self._done:
            return
        done, self._done = self._done, []
        try:
            self.channel.drop_notes(*done)
        except ResponseError as error:
            log.warning("a message could not be acknowledged, it will come again", kind=refusal_of(error))

    def restore_unacked_once(self, *args: Any, **options: Any) -> None:
        """The channel is closed."""
        with suppress(*self.channel.connection_errors):
            self.drop_done()
        super().restore_unacked_once(*args, **options)

    def forget(self, delivery_tag: Any) -> None:
        """Forget a message that is noted in Redis and will not be delivered. The tag: text, or bytes from the index."""
        self.noted.discard(delivery_tag)
        self.channel.drop_notes(delivery_tag)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's
        """Put it back into its queue. If Redis refuses, the note stays and brings it back later."""
        try:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)
        except ResponseError as error:
            log.warning("a message could not be given back yet", kind=refusal_of(error))
        except MALFORMED as error:
            self.channel.refused(self.unacked_key, f"not a message envelope ({type(error).__name__})")
            self.forget(tag)

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Renew what this process holds, then give back what no process renewed."""
        held = list(self._delivered)
        try:
            if held:
                with self.channel.conn_or_acquire() as client:
                    client.zadd(self.unacked_index_key, dict.fromkeys(held, time()), xx=True)
            super().restore_visible(*args, **options)
        except ResponseError as error:
            log.warning("unacknowledged messages could not be looked after", kind=refusal_of(error))


class _Message(Message):
    """kombu's message, with an error of its own for an item that is no message, apart from what its receiver raises."""

    def __init__(self, payload: Any, *args: Any, **options: Any) -> None:
        try:
            super().__init__(payload, *args, **options)
        except MALFORMED as error:
            raise _NotAnEnvelope(type(error).__name__) from error


def _decoded(item: bytes) -> Any:
    try:
        return loads(bytes_to_str(item))
    except MALFORMED as error:
        raise _NotAnEnvelope(type(error).__name__) from error


class _Master:
    """A connection that breaks once its server is a replica, as Sentinel's connections have it."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except ReadOnlyError:
            self.disconnect()  # type: ignore[attr-defined]
            raise RedisConnectionError("the server is a replica now") from None


class _MasterConnection(_Master, Connection):
    pass


class _MasterSSLConnection(_Master, SSLConnection):
    pass


@define
class _Peek:
    """One queue's waiting connection. `asked_at`: when the pending peek was sent, if one is."""

    queue: str
    client: Any
    asked_at: float | None = None


class PeekChannel(Channel):
    """kombu's channel, except for how it gets messages."""

    QoS = LeasedQoS
    Message = _Message
    connection_class: Any = _MasterConnection
    connection_class_ssl: Any = _MasterSSLConnection

    def __init__(self, *args: Any, **options: Any) -> None:
        self._peeks: dict[str, _Peek] = {}
        self._not_before = 0.0
        # Taking ended because of the prefetch limit: there may be more, and no peek is needed.
        self._more = False
        super().__init__(*args, **options)

    def refused(self, queue: str, reason: str) -> None:
        """An item was taken that is no message."""
        for listener in _listeners:
            listener(queue, reason)

    def basic_consume(self, queue: str, *args: Any, **options: Any) -> Any:
        """As kombu's. Raises what redis-py raises where peeking and taking will always be refused."""
        self.check_access(queue)
        return super().basic_consume(queue, *args, **options)

    def check_access(self, queue: str) -> None:
        """Do what taking needs, without taking. Raises what will be refused always; the rest may pass by itself."""
        keys = (self.unacked_key, self.unacked_index_key)
        # In a MULTI it does not wait. Alone it takes up to 0.1 s, however short its time-out: a start would pay for
        # each queue.
        peek = self.client.pipeline().blmove(queue, queue, 0.001, "RIGHT", "RIGHT").execute
        for call in (peek, partial(self._scripts["take"], keys=keys, args=(0, 0))):
            try:
                call()
            except ResponseError as error:
                if permanent_refusal(error) is not None:
                    raise

    def start_peek(self) -> None:
        """There is credit: take what is known to wait, else peek into each queue."""
        now, poller = monotonic(), self.connection.cycle
        if self._more and not poller._in_protected_read:  # noqa: SLF001 - an event loop's tick: no caller waits for a message
            self._take_all()
            if self._more:
                return
        for queue in self.active_queues:
            kind = PEEK + queue
            peek = self._peeks.get(kind)
            if peek is None:
                peek = self._peeks[kind] = _Peek(queue, self._create_client(asynchronous=True))
            if not poller._client_registered(self, peek.client, kind):  # noqa: SLF001
                peek.asked_at = None
                poller._register(self, peek.client, kind)  # noqa: SLF001
            if peek.asked_at is None and now >= self._not_before:
                peek.client.connection.send_command("BLMOVE", queue, queue, "RIGHT", "RIGHT", PEEK_SECONDS)
                peek.asked_at = now

    def finish_peek(self, kind: str) -> bool:
        """A queue has something or the peek is over: take what there is credit for.

        Raises:
            Empty: nothing was taken.
        """
        self._read_answer(self._peeks[kind])
        if not self._take_all():
            raise Empty
        return True

    def _read_answer(self, peek: _Peek) -> None:
        try:
            peek.asked_at = None
            peek.client.parse_response(peek.client.connection, "BLMOVE")
        except self.connection_errors:
            peek.client.connection.disconnect()
            raise
        except ResponseError as error:
            # Such as a full server, which may move nothing: taking needs no room and goes on.
            self._wait_after(error, "looking into a queue was refused", queue=peek.queue)

    def drop_overdue(self) -> None:
        """Disconnect from a server that does not answer a peek: most likely half open. Nothing is lost."""
        overdue = monotonic() - PEEK_SECONDS - _LATE_SECONDS
        for peek in self._peeks.values():
            if peek.asked_at is None or peek.asked_at > overdue:
                continue
            if peek.client.connection.can_read():  # this process was late
                self._read_answer(peek)  # here: the loop would not see what can_read() took from the socket
                continue
            log.warning("looking into a queue got no answer", queue=peek.queue, seconds=PEEK_SECONDS + _LATE_SECONDS)
            peek.client.connection.disconnect()
            self.pool.disconnect(inuse_connections=False)

    def _take_all(self) -> int:
        taken, more, self._more = 0, True, False
        try:
            while more and self.active_queues:
                if not self.qos.can_consume():
                    self._more = True
                    break
                found, more = self._take()
                taken += found
        except ResponseError as error:
            self._wait_after(error, "taking a message was refused")
        return taken

    def _wait_after(self, error: ResponseError, event: str, **fields: str) -> None:
        """Go on a little later. Raises the error where it is for the consumer, since it does not pass by itself."""
        if permanent_refusal(error) is not None:
            raise error
        self._not_before = monotonic() + PEEK_SECONDS
        log.warning(event, kind=refusal_of(error), **fields)

    def _take(self) -> tuple[bool, bool]:
        """Whether there was an item, and whether there is another."""
        queues = self._queue_cycle.consume(len(self.active_queues))
        keys = [self._q_for_pri(queue, priority) for priority in self.priority_steps for queue in queues]
        answer = self._scripts["take"](
            keys=(self.unacked_key, self.unacked_index_key, *keys), args=(time(), ENVELOPE_LIMIT)
        )
        if not answer:
            return False, False
        verdict, key, tag = (bytes_to_str(part) for part in answer[:3])
        queue = key.rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        if verdict == "large":
            self.refused(queue, f"larger than {ENVELOPE_LIMIT} bytes")
        elif verdict == "malformed":
            self.refused(queue, "not a message envelope")
        else:
            self._hand_over(queue, tag, answer[3])
        return True, bool(answer[4])

    def _hand_over(self, queue: str, tag: str, item: bytes) -> None:
        hit("message.taken")
        self.qos.noted.add(tag)
        try:
            message = _decoded(item)
            if message["properties"]["delivery_info"]["routing_key"] != queue:  # through an exchange
                message["properties"]["delivery_info"] = {"exchange": "", "routing_key": queue}
            self.connection._deliver(message, queue)  # noqa: SLF001
        except _NotAnEnvelope as error:
            self.refused(queue, f"not a message envelope ({error})")
        if tag in self.qos.noted:
            self.qos.forget(tag)

    def drop_notes(self, *delivery_tags: bytes | str) -> None:
        """Drop the notes of taken messages. Raises what redis-py raises, a ResponseError if Redis refuses."""
        self._scripts["drop"](keys=(self.unacked_key, self.unacked_index_key), args=delivery_tags)

    @cached_property
    def _scripts(self) -> dict[str, Script]:
        client, folder = self._create_client(), files("unstract_worker_core.worker") / "scripts"
        return {name: client.register_script((folder / f"{name}.lua").read_text()) for name in ("take", "drop")}

    def _poll_error(self, type: str, **options: Any) -> None:  # noqa: A002 - the signature is kombu's
        if type in self._peeks:
            self.finish_peek(type)
        else:
            super()._poll_error(type, **options)

    def _on_connection_disconnect(self, connection: Any) -> None:
        for peek in self._peeks.values():
            if peek.client.connection is connection:
                peek.asked_at = None
        super()._on_connection_disconnect(connection)

    def _close_clients(self) -> None:
        for peek in self._peeks.values():
            connection, peek.client.connection = peek.client.connection, None
            if connection is not None:
                connection.disconnect()
        super()._close_clients()


class PeekPoller(MultiChannelPoller):
    """kombu's poller, whose channels peek instead of pop."""

    def on_poll_start(self) -> None:
        """Send what is to be waited for, and drop what was waited for too long. Called about once a second at least."""
        for channel in self._channels:
            channel.qos.drop_done()
            channel.drop_overdue()
            if channel.active_queues and channel.qos.can_consume():
                channel.start_peek()
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)

    def on_readable(self, fileno: int) -> Any:
        """Read what came. A peek is read without credit too: it holds nothing, and would keep the loop awake."""
        channel, kind = self._fd_to_chan.get(fileno, (None, ""))
        if channel is not None and kind.startswith(PEEK):
            return channel.finish_peek(kind)
        return super().on_readable(fileno)

    def maybe_check_brpop_health(self) -> None:
        """Kombu's own check, at longer intervals, of a call that is not made here."""


class PeekTransport(Transport):
    """Redis or rediss."""

    Channel = PeekChannel

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cycle = PeekPoller()  # type: ignore[assignment]
        self.in_loop = False

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """From now on the loop tells when to look."""
        super().register_with_event_loop(connection, loop)
        self.in_loop = True


class PeekSentinelChannel(PeekChannel, SentinelChannel):
    """A channel behind Sentinel."""

    connection_class = SentinelChannel.connection_class
    connection_class_ssl = SentinelChannel.connection_class_ssl


class PeekSentinelTransport(PeekTransport, SentinelTransport):
    """Sentinel."""

    Channel = PeekSentinelChannel
