"""How many requests of a tenant wait: also where many ask at the moment of a new count."""

import threading

from s3sync_dagster.api.errors import TooMany
from s3sync_dagster.api.waiting import Waiting

AT_ONCE, MOST = 8, 3


def test_who_asks_while_all_is_counted_anew_passes_no_bound():
    together = threading.Barrier(AT_ONCE)

    def count(_tenant):
        together.wait(60)
        return 0

    waiting = Waiting(most=MOST, count=count)
    taken: list[bool] = []

    def take():
        try:
            waiting.take("t")
        except TooMany:
            taken.append(False)
        else:
            taken.append(True)

    threads = [threading.Thread(target=take) for _ in range(AT_ONCE)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(taken), sum(taken)) == (AT_ONCE, MOST)
