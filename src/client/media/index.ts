import type { Endpoint } from '../../http/endpoint.ts'
import { createContent } from './create-content.ts'
import { getConfigAuthed } from './get-config.ts'
import { getContent, getContentAuthed } from './get-content.ts'
import { getContentThumbnail, getContentThumbnailAuthed } from './get-content-thumbnail.ts'
import { getUrlPreview, getUrlPreviewAuthed } from './get-url-preview.ts'
import { uploadContent } from './upload-content.ts'
import { uploadContentToMXC } from './upload-content-to-mxc.ts'

/** Spec: Client-Server API, "Content repository". */
export const mediaEndpoints: readonly Endpoint[] = [
  uploadContent,
  createContent,
  uploadContentToMXC,
  getConfigAuthed,
  getContentAuthed,
  getContent,
  getContentThumbnailAuthed,
  getContentThumbnail,
  getUrlPreviewAuthed,
  getUrlPreview,
]
