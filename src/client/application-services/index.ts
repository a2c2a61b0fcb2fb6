import type { Endpoint } from '../../http/endpoint.ts'
import { pingAppservice } from './ping-appservice.ts'
import { updateAppserviceRoomDirectoryVisibility } from './update-appservice-room-directory-visibility.ts'

/** Spec: Application Service API, "Client-Server API Extensions". */
export const applicationServiceEndpoints: readonly Endpoint[] = [
  pingAppservice,
  updateAppserviceRoomDirectoryVisibility,
]
