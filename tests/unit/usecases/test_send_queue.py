"""The order in which a run's workers take messages."""

from reengage.usecases.send_queue import SendQueue, Share

BUS, SMS = "eventbridge/sms/", "twilio/sms/+12025550100"


def taken(queue: SendQueue[str], number: int) -> list[str]:
    return [task for task in (queue.take() for _ in range(number)) if task]


def warmed(workers: int, share: Share) -> SendQueue[str]:
    """Return a queue whose route has answered often enough to have all workers."""
    queue = SendQueue[str](workers)
    for number in range(workers):
        queue.put("", share, f"warm-{number}", (False, 0))
        assert queue.take() == ""
        queue.done(share, f"warm-{number}", ok=True)
    return queue


def test_brand_with_few_messages_gets_the_next_worker() -> None:
    """100,000 messages of one brand came first, and another brand's ten on the same route waited for them."""
    many, few = Share(BUS, "many"), Share(BUS, "few")
    queue = warmed(4, many)
    for number in range(100):
        queue.put(f"many-{number}", many, f"m-{number}", (False, number))
    for number in range(2):
        queue.put(f"few-{number}", few, f"f-{number}", (False, 1000 + number))
    assert sorted(taken(queue, 4)) == ["few-0", "few-1", "many-0", "many-1"]


def test_earliest_deadline_of_a_brand_comes_first() -> None:
    queue = warmed(3, Share(BUS, "one"))
    for deadline in (3, 1, 2):
        queue.put(f"d{deadline}", Share(BUS, "one"), f"c-{deadline}", (False, deadline))
    assert taken(queue, 3) == ["d1", "d2", "d3"]


def test_brands_of_a_route_share_its_bound() -> None:
    queue = warmed(2, Share(SMS, "one"))
    for number in range(4):
        queue.put(f"one-{number}", Share(SMS, "one"), f"o-{number}", (False, 0))
        queue.put(f"two-{number}", Share(SMS, "two"), f"t-{number}", (False, 0))
    assert sorted(taken(queue, 8)) == ["one-0", "two-0"]
    queue.done(Share(SMS, "one"), "o-0", ok=True)
    assert taken(queue, 8) == ["one-1"]


def test_broadcast_waits_for_every_message() -> None:
    queue = warmed(2, Share(BUS, "one"))
    queue.put("broadcast", Share(""), "", (True, 0))
    queue.put("message", Share(BUS, "one"), "c", (False, 9))
    assert taken(queue, 1) == ["message"]
