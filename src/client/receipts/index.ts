import type { Endpoint } from '../../http/endpoint.ts'
import { postReceipt } from './post-receipt.ts'
import { setReadMarker } from './set-read-marker.ts'
import { setTyping } from './set-typing.ts'

/** Spec: Client-Server API, "Receipts", "Fully read markers", "Typing Notifications". */
export const receiptEndpoints: readonly Endpoint[] = [postReceipt, setReadMarker, setTyping]
