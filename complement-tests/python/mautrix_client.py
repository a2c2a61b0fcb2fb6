"""A user of mautrix, with its encryption: mautrix_client.py URL USER PASSWORD FOLDER"""

import asyncio
import logging
import sys

from conversation import Heard, converse
from mautrix.client import Client, InternalEventType, MemoryStateStore
from mautrix.crypto import MemoryCryptoStore, OlmMachine, StateStore
from mautrix.types import EventType, Membership, MessageType, RoomCreatePreset, TextMessageEventContent, TrustState


class RoomStates(MemoryStateStore, StateStore):
    async def find_shared_rooms(self, user_id):
        return [room for room, members in self.members.items() if user_id in members]


async def main(url, user, password, _folder):
    logging.basicConfig(level=logging.WARNING)
    heard = Heard()
    states = RoomStates()
    client = Client(base_url=url, state_store=states)
    joined_rooms = set()

    async def on_member(event):
        if event.state_key != client.mxid:
            return
        if event.content.membership == Membership.INVITE:
            await client.join_room(event.room_id)
        elif event.content.membership == Membership.JOIN:
            joined_rooms.add(event.room_id)
        await heard.stir()

    async def on_message(event):
        # mautrix notes under this key that it has decrypted an event.
        await heard.add(event.room_id, event.sender, event.content.body, event.get("mautrix", None) is not None)

    async def log_in():
        response = await client.login(user, password=password, device_name="mautrix")
        store = MemoryCryptoStore(str(client.mxid), "pickle")
        await store.put_device_id(response.device_id)
        client.crypto = OlmMachine(client, store, states)
        await client.crypto.load()
        await client.crypto.share_keys()
        client.crypto.share_keys_min_trust = TrustState.UNVERIFIED
        client.add_event_handler(EventType.ROOM_MEMBER, on_member)
        client.add_event_handler(EventType.ROOM_MESSAGE, on_message)
        client.ignore_first_sync = client.ignore_initial_sync = False
        first = asyncio.Event()

        async def on_sync(_):
            first.set()
            await heard.stir()

        client.add_event_handler(InternalEventType.SYNC_SUCCESSFUL, on_sync)
        client.start(None)
        await first.wait()
        return {"user_id": client.mxid, "device_id": client.device_id}

    async def joined(room):
        await heard.until(lambda: room in joined_rooms and states.encryption.get(room) is not None)
        return (await client.get_state_event(room, EventType.ROOM_NAME)).name

    async def create(invite):
        encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        room = await client.create_room(
            preset=RoomCreatePreset.PRIVATE, invitees=[invite], initial_state=[encryption], name="Room of mautrix"
        )
        await joined(room)
        return room

    async def members(room):
        return sorted(await client.get_joined_members(room))

    async def send(room, body):
        return await client.send_message(room, TextMessageEventContent(msgtype=MessageType.TEXT, body=body))

    async def upload(text):
        return await client.upload_media(text.encode(), mime_type="text/plain", filename="note.txt")

    async def download(uri):
        return (await client.download_media(uri)).decode()

    async def log_out():
        client.stop()
        await client.logout()
        await client.api.session.close()

    await converse(
        {
            "log in": log_in,
            "joined": joined,
            "create": create,
            "members": members,
            "send": send,
            "hear": heard.message,
            "upload": upload,
            "download": download,
            "log out": log_out,
        }
    )


asyncio.run(main(*sys.argv[1:]))
