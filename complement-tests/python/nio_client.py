"""A user of matrix-nio, with its encryption: nio_client.py URL USER PASSWORD FOLDER"""

import asyncio
import io
import sys

from conversation import Heard, converse
from nio import AsyncClient, AsyncClientConfig, InviteMemberEvent, MegolmEvent, RoomMessageText, SyncResponse
from nio.responses import ErrorResponse


def checked(response):
    """nio returns errors."""
    if isinstance(response, ErrorResponse):
        raise RuntimeError(str(response))
    return response


async def main(url, user, password, folder):
    heard = Heard()
    client = AsyncClient(url, user, store_path=folder, config=AsyncClientConfig(store_sync_tokens=True))

    async def on_invite(room, event):
        if event.state_key == client.user_id and event.membership == "invite":
            checked(await client.join(room.room_id))

    async def on_message(room, event):
        await heard.add(room.room_id, event.sender, event.body, event.decrypted)

    async def on_undecryptable(room, event):
        print(f"cannot decrypt {event.event_id} of {event.sender}", file=sys.stderr, flush=True)

    client.add_event_callback(on_invite, InviteMemberEvent)
    client.add_event_callback(on_message, RoomMessageText)
    client.add_event_callback(on_undecryptable, MegolmEvent)
    client.add_response_callback(lambda _: heard.stir(), SyncResponse)
    syncing = None

    async def log_in():
        nonlocal syncing
        response = checked(await client.login(password, device_name="nio"))
        syncing = asyncio.create_task(client.sync_forever(timeout=20000, full_state=True))
        await client.synced.wait()
        return {"user_id": response.user_id, "device_id": response.device_id}

    async def joined(room):
        await heard.until(lambda: room in client.rooms and client.rooms[room].encrypted)
        return client.rooms[room].display_name

    async def create(invite):
        encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        room = checked(await client.room_create(invite=[invite], initial_state=[encryption])).room_id
        await joined(room)
        return room

    async def members(room):
        response = checked(await client.joined_members(room))
        return sorted(member.user_id for member in response.members)

    async def send(room, body):
        content = {"msgtype": "m.text", "body": body}
        return checked(await client.room_send(room, "m.room.message", content, ignore_unverified_devices=True)).event_id

    async def upload(text):
        data = text.encode()
        response, _ = await client.upload(io.BytesIO(data), "text/plain", "note.txt", filesize=len(data))
        return checked(response).content_uri

    async def download(uri):
        return checked(await client.download(uri)).body.decode()

    async def log_out():
        syncing.cancel()
        checked(await client.logout())
        await client.close()

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
