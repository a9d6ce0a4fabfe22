"""How a worker takes messages from Redis: it looks without taking, then takes and notes in one step.

kombu waits with BRPOP and notes what it got in a second call. A worker that dies between the two, or whose connection
breaks while the answer is on its way, has lost the message. Here the blocking call moves a queue's next item to where
it is (BLMOVE, right to right), so it only tells that there is one, and a script takes it and notes it as
unacknowledged: at no time is a message in neither place. One connection per queue waits, since BLMOVE takes one key;
a queue's items of other priorities, which the platform does not use, are seen at the next look, a second later.
"""

from collections.abc import Callable
from queue import Empty
from time import monotonic, time
from typing import Any

from attrs import define
from kombu.transport.redis import Channel, MultiChannelPoller
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from kombu.utils.objects import cached_property
from redis.commands.core import Script
from redis.exceptions import ResponseError

from unstract_worker_core.failpoints import hit
from unstract_worker_core.identifiers import random_id
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.worker.admission import BODY_LIMIT
from unstract_worker_core.worker.redis_qos import MALFORMED, LeasedQoS

__all__ = ["ENVELOPE_LIMIT", "LookingPoller", "TakingChannel", "on_malformed"]

log = get_logger(__name__)
_told: list[Callable[[str], None]] = []

# Bytes of a whole item: the largest body as Base64, with room for the headers.
ENVELOPE_LIMIT = BODY_LIMIT * 11 // 8
LOOK = "LOOK "
LOOK_SECONDS = 1

# KEYS: the unacknowledged, their index, then the queues in the order to try them. ARGV: the time, the limit in bytes.
# Answers nil where all are empty, or {verdict, queue key, delivery tag, item}. The pop comes first: Redis lets a
# script that has written go on, even when it is out of memory. The note is kombu's: [item, exchange, routing key]. Its
# tag must read the same here and there: another kind of text could be noted, and never be forgotten.
TAKE = """
for number = 3, #KEYS do
  local item = redis.call('RPOP', KEYS[number])
  if item then
    if #item > tonumber(ARGV[2]) then return {'large', KEYS[number], '', ''} end
    local fine, message = pcall(cjson.decode, item)
    local properties = fine and type(message) == 'table' and message.properties
    local route = type(properties) == 'table' and properties.delivery_info
    if type(route) ~= 'table' or route.exchange == nil or route.routing_key == nil
        or type(properties.delivery_tag) ~= 'string' or not string.find(properties.delivery_tag, '^[!-~]+$') then
      return {'malformed', KEYS[number], '', ''}
    end
    local where = cjson.encode(route.exchange) .. ',' .. cjson.encode(route.routing_key)
    redis.call('HSET', KEYS[1], properties.delivery_tag, '[' .. item .. ',' .. where .. ']')
    redis.call('ZADD', KEYS[2], ARGV[1], properties.delivery_tag)
    return {'taken', KEYS[number], properties.delivery_tag, item}
  end
end
return nil
"""

# KEYS: the unacknowledged, their index. ARGV: the delivery tag.
DROP = """
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
"""


def on_malformed(tell: Callable[[str], None]) -> None:
    """Call `tell(reason)` for each malformed envelope of this process; it was taken from its queue already."""
    _told[:] = [tell]


@define
class _Look:
    """One queue's waiting connection. `asked_at`: when the pending look was sent; None: none is pending."""

    queue: str
    client: Any
    asked_at: float | None = None


class TakingChannel(Channel):
    """kombu's channel, but for how it gets messages."""

    QoS = LeasedQoS

    def __init__(self, *args: Any, **options: Any) -> None:
        self._looks: dict[str, _Look] = {}
        self._not_before = 0.0
        # Taking ended for want of credit: there may be more, and no look is needed to know.
        self._more = False
        super().__init__(*args, **options)

    def _next_delivery_tag(self) -> str:
        return random_id()

    def refused(self, reason: str) -> None:
        """An item was taken that is no message."""
        for tell in _told:
            tell(reason)

    def look(self) -> None:
        """There is credit: take what is known to wait, else see to it that each queue is being looked at."""
        now, poller = monotonic(), self.connection.cycle
        if self._more and not poller._in_protected_read:  # noqa: SLF001 - an event loop's tick: no caller waits for a message
            self._take_all()
            if self._more:
                return
        for queue in self.active_queues:
            kind = LOOK + queue
            look = self._looks.get(kind)
            if look is None:
                look = self._looks[kind] = _Look(queue, self._create_client(asynchronous=True))
            if not poller._client_registered(self, look.client, kind):  # noqa: SLF001
                look.asked_at = None
                poller._register(self, look.client, kind)  # noqa: SLF001
            if look.asked_at is None and now >= self._not_before:
                look.client.connection.send_command("BLMOVE", queue, queue, "RIGHT", "RIGHT", LOOK_SECONDS)
                look.asked_at = now

    def looked(self, kind: str) -> bool:
        """A queue has something or the look is over: take what there is credit for.

        Raises:
            Empty: nothing was taken.
        """
        look = self._looks[kind]
        try:
            look.asked_at = None
            look.client.parse_response(look.client.connection, "BLMOVE")
        except self.connection_errors:
            look.client.connection.disconnect()
            raise
        except ResponseError as error:
            # Such as a full server, which may move nothing: taking needs no room and goes on.
            self._not_before = monotonic() + LOOK_SECONDS
            log.warning("looking into a queue was refused", queue=look.queue, kind=type(error).__name__)
        if not self._take_all():
            raise Empty
        return True

    def drop_overdue(self) -> None:
        """Disconnect a look that was not answered for long: its connection may be half open. Nothing is lost."""
        for look in self._looks.values():
            waited = 0.0 if look.asked_at is None else monotonic() - look.asked_at
            if waited > LOOK_SECONDS + self.health_check_interval:
                log.warning("looking into a queue got no answer", queue=look.queue, seconds=round(waited))
                look.client.connection.disconnect()

    def _take_all(self) -> int:
        taken, self._more = 0, False
        try:
            while self.active_queues:
                if not self.qos.can_consume():
                    self._more = True
                    break
                if not self._take():
                    break
                taken += 1
        except ResponseError as error:
            self._not_before = monotonic() + LOOK_SECONDS
            log.warning("taking a message was refused", kind=type(error).__name__)
        return taken

    def _take(self) -> bool:
        queues = self._queue_cycle.consume(len(self.active_queues))
        keys = [self._q_for_pri(queue, priority) for priority in self.priority_steps for queue in queues]
        noted = (self.unacked_key, self.unacked_index_key)
        answer = self._scripted(TAKE, (*noted, *keys), time(), ENVELOPE_LIMIT)
        if not answer:
            return False
        verdict, key, tag = (bytes_to_str(part) for part in answer[:3])
        queue = key.rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        if verdict == "large":
            self.refused(f"larger than {ENVELOPE_LIMIT} bytes")
        elif verdict == "malformed":
            self.refused("not a message envelope")
        else:
            self._hand_over(queue, tag, answer[3])
        return True

    def _hand_over(self, queue: str, tag: str, item: bytes) -> None:
        hit("message.taken")
        self.qos.noted.add(tag)
        try:
            self.connection._deliver(loads(bytes_to_str(item)), queue)  # noqa: SLF001
        except MALFORMED as error:
            self.refused(f"not a message envelope ({type(error).__name__})")
        if tag in self.qos.noted:
            self.qos.forget(tag)

    def drop_note(self, delivery_tag: bytes | str) -> None:
        """A taken message is done with. Raises as `_scripted` does."""
        self._scripted(DROP, (self.unacked_key, self.unacked_index_key), delivery_tag)

    def _scripted(self, text: str, keys: tuple[str, ...], *arguments: bytes | str | float) -> Any:
        """A script's answer. Raises what redis-py raises, a ResponseError for what Redis refuses."""
        return self._scripts[text](keys=keys, args=arguments)

    @cached_property
    def _scripts(self) -> dict[str, Script]:
        client = self._create_client()
        return {text: client.register_script(text) for text in (TAKE, DROP)}

    def _poll_error(self, type: str, **options: Any) -> None:  # noqa: A002 - the signature is kombu's
        if type in self._looks:
            self.looked(type)
        else:
            super()._poll_error(type, **options)

    def _on_connection_disconnect(self, connection: Any) -> None:
        for look in self._looks.values():
            if look.client.connection is connection:
                look.asked_at = None
        super()._on_connection_disconnect(connection)

    def _close_clients(self) -> None:
        for look in self._looks.values():
            connection, look.client.connection = look.client.connection, None
            if connection is not None:
                connection.disconnect()
        super()._close_clients()


class LookingPoller(MultiChannelPoller):
    """kombu's poller, whose channels look instead of pop."""

    def on_poll_start(self) -> None:
        """Send what is to be waited for."""
        for channel in self._channels:
            if channel.active_queues and channel.qos.can_consume():
                channel.look()
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)

    def on_readable(self, fileno: int) -> Any:
        """Read what came. A look is read without credit too: it holds nothing, and would keep the loop awake."""
        channel, kind = self._fd_to_chan.get(fileno, (None, ""))
        if channel is not None and kind.startswith(LOOK):
            return channel.looked(kind)
        return super().on_readable(fileno)

    def maybe_check_brpop_health(self) -> None:
        """Called now and then."""
        for channel in self._channels:
            channel.drop_overdue()
