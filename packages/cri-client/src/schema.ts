/** How one field is written on the wire; `type` is a proto3 scalar, a message or an enum (a map's keys are strings). */
export type FieldSchema = readonly [number: number, type: string, label?: 'repeated' | 'map']

/** Fields by their name in TypeScript. */
export type MessageSchema = Readonly<Record<string, FieldSchema>>

/** Numbers by value name. */
export type EnumSchema = Readonly<Record<string, number>>

/** Message names of a call; `stream`: the response is a stream of messages. */
export type MethodSchema = readonly [request: string, response: string, kind?: 'stream']
