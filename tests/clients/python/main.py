"""The promises through Python's clients: librdkafka (confluent-kafka), kafka-python and aiokafka.

Each promise is written once, in the words of `adapters`; an adapter says what its client cannot do.
"""

import faulthandler
import os
import signal
import sys
from functools import partial

import admins
import durability
import errors
import groups
import offsets
import records
import text
import transactions
from adapters import aio, confluent, kafkapython
from suite import Suite

PROMISES = {
    name: check
    for module in (records, durability, groups, offsets, admins, errors, text, transactions)
    for name, check in module.PROMISES.items()
}


def main() -> None:
    faulthandler.register(signal.SIGQUIT)  # a promise that hangs tells where it stands
    for adapter in (confluent.Client, kafkapython.Client, aio.Client):
        suite = Suite(adapter.name)
        client = adapter(os.environ["BOOTSTRAP"])
        for name, check in PROMISES.items():
            if name in adapter.lacks:
                suite.skip(name, adapter.lacks[name])
            else:
                suite.promise(name, partial(check, client), needs=transactions.NEEDS.get(name))
        client.close()
    sys.stdout.flush()
    os._exit(0)  # threads of a client that hangs must not hold the end up


main()
