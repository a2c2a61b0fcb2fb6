"""Drives a client by lines of JSON: a command on each line of the input, its answer on a line of the output."""

import asyncio
import json
import sys


class Heard:
    """What was said in the rooms, and who waits for it."""

    def __init__(self):
        self._messages = []
        self._more = asyncio.Condition()

    async def add(self, room, sender, body, encrypted):
        async with self._more:
            self._messages.append({"room": room, "sender": sender, "body": body, "encrypted": encrypted})
            self._more.notify_all()

    async def stir(self):
        """Lets those that wait look again."""
        async with self._more:
            self._more.notify_all()

    async def message(self, room, body):
        def found():
            return next((one for one in self._messages if one["room"] == room and one["body"] == body), None)

        await self.until(found)
        return found()

    async def until(self, holds):
        async with self._more:
            await self._more.wait_for(holds)


async def converse(commands):
    """Answers each command with what its coroutine returns, until the input ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            answer = {"answer": await commands[command.pop("do")](**command)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
