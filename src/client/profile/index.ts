import type { Endpoint } from '../../http/endpoint.ts'
import { deleteProfileField, getProfileField, getUserProfile, setOneProfileField } from './profile.ts'

/** Spec: Client-Server API, "Profiles". */
export const profileEndpoints: readonly Endpoint[] = [
  getUserProfile,
  getProfileField,
  setOneProfileField,
  deleteProfileField,
]
