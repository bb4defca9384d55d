"""Connections of the driver that wait for the next statement.

Where a question takes tens of microseconds, checking a connection out of SQLAlchemy's pool and in again, with
a rollback between, takes longer than the question. These are outside transactions, so there is nothing to
roll back.
"""

import os
from typing import Any

from sqlalchemy import Engine


class IdleConnections:
    """A stack of connections, for any number of threads; as many are open as were in use at once.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        Makes new ones, which run statements outside transactions.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: list[Any] = []
        self._parents: list[Any] = []
        """Those of the process that this one was forked from, which alone may use and close them."""
        self._process = os.getpid()
        self._closed = False

    def take(self) -> Any:
        """Give a connection, which nobody else has until it is put back."""
        if self._process != os.getpid():
            self._parents += self._waiting
            self._waiting, self._process = [], os.getpid()
        try:
            return self._waiting.pop()
        except IndexError:
            held = self._engine.raw_connection()
            driver = held.driver_connection
            held.detach()
            return driver

    def put(self, driver: Any) -> None:
        """Take a sound connection back."""
        if self._closed:
            driver.close()
        else:
            self._waiting.append(driver)

    def drop(self) -> None:
        """Close those that wait; new ones are made when they are needed."""
        while self._waiting:
            self._waiting.pop().close()

    def close(self) -> None:
        """Close those that wait now, and the others when they come back."""
        self._closed = True
        self.drop()
        self._engine.dispose()
