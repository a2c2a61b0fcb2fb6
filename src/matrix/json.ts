/** Any JSON value. Numbers are integers within ±(2⁵³−1) wherever room version rules ask for canonical JSON. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export type JsonObject = { readonly [key: string]: Json }
