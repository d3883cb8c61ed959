// The official JavaScript SDK, unchanged, against the real server with a scripted upstream model:
// dispatch, subscribe with historyLength, publish, complete (streaming and not), functions of each kind, limits, bots,
// datasets, skillsets, features, contacts, attachments, time zones, repeated requests, errors, and the OpenAPI document.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { ChatBotKit } from '@chatbotkit/sdk'

const SECRET = 'sdk-test-secret-one'
const OTHER_SECRET = 'sdk-test-secret-two'
const ANSWER = 'Hello, wörld \u{1f600}\u2028done.'

let upstream, folder, client, other, base

// What the upstream was asked, in order; each with its messages, tools and choice of a tool.
const asked = []
// How often the next prompts that hold "[busy]" are refused before they are answered.
let busy = 0

// The upstream: an OpenAI-compatible endpoint. A prompt that holds "[call NAME ARGUMENTS]" makes it call that
// function first; then, and otherwise, it answers ANSWER a few characters at a time. It has a document, too.
function startUpstream() {
  const http = createServer((request, response) => {
    if (request.url === '/notes.txt') {
      response.writeHead(200, { 'content-type': 'text/plain' }).end('The password of the day is marmalade.')
      return
    }
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      const { messages, tools, tool_choice: choice } = JSON.parse(body)
      asked.push({ messages, tools, choice })
      const prompt = messages.filter((message) => message.role === 'user').at(-1)?.content ?? ''
      const text = typeof prompt === 'string' ? prompt : prompt.map((part) => part.text ?? '').join('')
      const call = /\[call (\w+)(?: (\{.*\}))?\]/.exec(text)
      const wanted = choice?.function?.name ?? call?.[1]
      const answered = messages.some((message) => message.role === 'tool') && !choice?.function
      if (text.includes('[busy]') && busy > 0) {
        busy -= 1
        response.writeHead(503, { 'retry-after': '0', 'content-type': 'application/json' }).end('{"error":{"message":"busy"}}')
        return
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const send = (delta, rest = {}) =>
        response.write(`data: ${JSON.stringify({ model: 'scripted', choices: [{ index: 0, delta, ...rest }] })}\n\n`)
      if (wanted && !answered) {
        send({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: wanted, arguments: '' } }] })
        send({ tool_calls: [{ index: 0, function: { arguments: call?.[2] ?? '{"city":"Rio"}' } }] })
        send({}, { finish_reason: 'tool_calls' })
      } else {
        const result = messages.find((message) => message.role === 'tool')?.content
        const answer = result ? `The function said ${result}` : ANSWER
        for (const piece of answer.match(/.{1,3}/gsu)) send({ content: piece })
        send({}, { finish_reason: 'stop' })
      }
      const usage = { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 }
      response.write(`data: ${JSON.stringify({ model: 'scripted', choices: [], usage })}\n\n`)
      response.end('data: [DONE]\n\n')
    })
  })
  return new Promise((resolve) => http.listen(0, '127.0.0.1', () => resolve(http)))
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}

// What requests name: `[server.bots.NAME]` and the like.
const CONFIGURATION = `
[server.attachments]
allow = ["127.0.0.1"]
ports = []

[server.bots.zoo]
backstory = "You are the support of the zoo."
datasets = ["animals"]

[server.datasets.animals]
records = ["Wrens are fed at noon."]

[server.bots.support]
model = "scripted"
backstory = "You are calm."
datasets = ["handbook"]
skillsets = ["writing"]
features = ["time"]

[server.datasets.handbook]
records = ["Refunds are paid within 14 days.", "${'Open at nine. '.repeat(1000)}"]

[server.skillsets.writing]
[[server.skillsets.writing.abilities]]
name = "polite_reply"
description = "Writes a reply."
instruction = "Be polite."
`

const servers = []

// A server of its own folder and port; gives its address.
async function startServer(text) {
  const port = await freePort()
  const own = mkdtempSync(join(folder, 'server-'))
  const configuration = join(own, 'config.toml')
  writeFileSync(configuration, text)
  const upstreamUrl = `http://127.0.0.1:${upstream.address().port}/v1`
  const server = spawn(
    process.env.SWITCHBOARD_BIN ?? '../../target/debug/switchboard',
    ['--config', configuration, 'serve', '--listen', `127.0.0.1:${port}`, '--data-dir', join(own, 'data'), '--model-url', upstreamUrl, '--model', 'scripted'],
    {
      env: { PATH: process.env.PATH, HOME: own, SWITCHBOARD_SECRET: `${SECRET},${OTHER_SECRET}` },
      stdio: ['ignore', 'inherit', 'inherit'],
    }
  )
  servers.push(server)
  const address = `http://127.0.0.1:${port}`
  const deadline = Date.now() + 20_000
  for (;;) {
    assert.equal(server.exitCode, null, 'the server has ended')
    assert.ok(Date.now() < deadline, 'the server does not answer')
    const health = await fetch(`${address}/v1/health`).catch(() => null)
    if (health?.ok) return address
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

before(async () => {
  upstream = await startUpstream()
  folder = mkdtempSync(join(tmpdir(), 'switchboard-sdk-'))
  base = await startServer(CONFIGURATION)
  client = new ChatBotKit({ secret: SECRET, baseUrl: base })
  other = new ChatBotKit({ secret: OTHER_SECRET, baseUrl: base })
})

after(() => {
  for (const server of servers) server.kill('SIGTERM')
  upstream?.close()
  rmSync(folder, { recursive: true, force: true })
})

async function follow(which, channelId, request, until = (event) => event.type === 'result' || event.type === 'error') {
  const controller = new AbortController()
  const events = []
  for await (const line of which.channel.subscribe(channelId, request).stream({ abortSignal: controller.signal })) {
    assert.equal(line.type, 'message')
    events.push(line.data)
    if (until(line.data)) break
  }
  controller.abort()
  return events
}

const types = (events) => events.map((event) => event.type)
const text = (events) => events.filter((event) => event.type === 'token').map((event) => event.data.token).join('')

test('dispatch, then subscribe with history: the whole run, in order', async () => {
  const { channelId } = await client.conversation.dispatch(null, { messages: [{ type: 'user', text: 'hi' }] })
  assert.ok(channelId.length >= 24)
  const events = await follow(client, channelId, { historyLength: 10000 })
  assert.deepEqual(events[0], { type: 'message', data: { type: 'user', text: 'hi' } })
  assert.equal(text(events), ANSWER)
  assert.deepEqual(
    types(events).filter((type) => type !== 'token'),
    ['message', 'completeBegin', 'message', 'usage', 'completeEnd', 'result']
  )
  const result = events.at(-1).data
  assert.equal(result.text, ANSWER)
  assert.equal(result.end.reason, 'stop')
  assert.equal(result.usage.token, 12)
})

test('two subscribers see the same, one of them before the dispatch on its own channel id', async () => {
  const channelId = `sdk-own-channel-${Math.random().toString(36).slice(2)}-0123456789`
  const early = follow(client, channelId, {})
  await new Promise((resolve) => setTimeout(resolve, 100))
  const answer = await client.conversation.dispatch(null, { channelId, messages: [{ type: 'user', text: 'twice' }] })
  assert.equal(answer.channelId, channelId)
  const again = await client.conversation.dispatch(null, { channelId, messages: [{ type: 'user', text: 'twice' }] })
  assert.equal(again.channelId, channelId)
  const late = await follow(client, channelId, { historyLength: 10000 })
  assert.deepEqual(await early, late)
  await assert.rejects(client.conversation.dispatch(null, { channelId, messages: [{ type: 'user', text: 'another' }] }), {
    code: 'CONFLICT',
  })
})

test('complete, not streaming', async () => {
  const answer = await client.conversation.complete(null, { messages: [{ type: 'user', text: 'hi' }] })
  assert.equal(answer.text, ANSWER)
  assert.equal(answer.end.reason, 'stop')
  assert.equal(answer.usage.token, 12)
})

test('complete, streaming', async () => {
  const events = []
  for await (const event of client.conversation.complete(null, { messages: [{ type: 'user', text: 'hi' }] }).stream()) {
    events.push(event)
  }
  assert.equal(text(events), ANSWER)
  assert.equal(events.at(-1).type, 'result')
})

test('publish reaches a live subscriber, and nobody later', async () => {
  const channelId = 'sdk-publish-channel-0123456789'
  const live = follow(client, channelId, {}, () => true)
  await new Promise((resolve) => setTimeout(resolve, 150))
  const answer = await client.channel.publish(channelId, { message: { a: 1, text: 'ü\u2028' } })
  assert.equal(answer.id, channelId)
  assert.deepEqual(await live, [{ a: 1, text: 'ü\u2028' }])

  const later = follow(client, channelId, { historyLength: 100 }, () => true)
  await new Promise((resolve) => setTimeout(resolve, 150))
  await client.channel.publish(channelId, { message: { b: 2 } })
  assert.deepEqual(await later, [{ b: 2 }])
})

const weather = (result) => ({
  name: 'weather',
  description: 'The weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  ...(result ? { result } : {}),
})

test('a function with a static result', async () => {
  const { channelId } = await client.conversation.dispatch(null, {
    messages: [{ type: 'user', text: '[call weather]' }],
    functions: [weather({ data: { sky: 'clear' } })],
  })
  const events = await follow(client, channelId, { historyLength: 10000 })
  assert.equal(events.at(-1).data.text, 'The function said {"sky":"clear"}')
  const activities = events.filter((event) => event.type === 'message' && event.data.type === 'activity')
  assert.deepEqual(
    activities.map((event) => event.data.meta.activity.type),
    ['request', 'response']
  )
  assert.deepEqual(activities[0].data.meta.activity.function.arguments, { city: 'Rio' })
})

test('a function whose result is published', async () => {
  const channel = 'sdk-function-result-channel-0123456789'
  const { channelId } = await client.conversation.dispatch(null, {
    messages: [{ type: 'user', text: '[call weather]' }],
    functions: [weather({ channel })],
  })
  const waiting = await follow(client, channelId, { historyLength: 10000 }, (event) => event.type === 'waitForChannelMessageBegin')
  assert.equal(waiting.at(-1).data.channel, channel)
  assert.deepEqual(waiting.at(-1).data.function, { name: 'weather', args: { city: 'Rio' } })
  await other.channel.publish(channel, { message: { data: 'of another account' } })
  await client.channel.publish(channel, { message: { data: { sky: 'cloudy' } } })
  const events = await follow(client, channelId, { historyLength: 10000 })
  assert.equal(events.at(-1).data.text, 'The function said {"sky":"cloudy"}')
})

test('a bot of the server searches what it knows and does what it can', async () => {
  for (const [name, expected] of [
    ['search_handbook {"query":"refund"}', /Refunds are paid within 14 days/],
    ['polite_reply {"input":"no"}', /The function said Hello/],
    ['current_time', /weekday/],
  ]) {
    const { text, end } = await client.conversation.complete(null, {
      messages: [{ type: 'user', text: `[call ${name}]` }],
      botId: 'support',
      contactId: { fingerprint: 'f-1', name: 'Ada' },
    })
    assert.match(text, expected)
    assert.equal(end.reason, 'stop')
  }
})

test('datasets, skillsets and features of a request', async () => {
  const extensions = {
    backstory: 'You are calm.',
    datasets: [{ name: 'hours', records: [{ text: 'Open at nine. '.repeat(1000), meta: {} }] }],
    skillsets: [{ abilities: [{ name: 'rhyme', description: 'Rhymes.', instruction: 'Rhyme.' }] }],
    features: [{ name: 'time', options: { timezone: 'Asia/Tokyo' } }],
  }
  for (const [name, expected] of [
    ['search_hours {"query":"when open"}', /"text":"Open at nine/],
    ['rhyme {"input":"x"}', /Hello/],
    ['current_time', /Asia\/Tokyo/],
  ]) {
    const { text } = await client.conversation.complete(null, {
      messages: [{ type: 'user', text: `[call ${name}]` }],
      extensions,
    })
    assert.match(text, expected)
  }
  for (const id of ['botId', 'datasetId', 'skillsetId']) {
    await assert.rejects(
      client.conversation.dispatch(null, { messages: [{ type: 'user', text: 'x' }], [id]: 'none' }).then(() => {}),
      { code: 'NOT_FOUND' }
    )
  }
})

test("another account's channel is another channel", async () => {
  const { channelId } = await client.conversation.dispatch(null, { messages: [{ type: 'user', text: 'mine' }] })
  await follow(client, channelId, { historyLength: 10000 })
  const seen = follow(other, channelId, { historyLength: 10000 }, () => true)
  await new Promise((resolve) => setTimeout(resolve, 150))
  await other.channel.publish(channelId, { message: { mine: true } })
  assert.deepEqual(await seen, [{ mine: true }])
})

test('errors carry their code and a message that names the field', async () => {
  const wrong = new ChatBotKit({ secret: 'wrong', baseUrl: base })
  await assert.rejects(async () => wrong.conversation.complete(null, { messages: [] }), { code: 'NOT_AUTHENTICATED' })
  await assert.rejects(async () => client.conversation.complete(null, { messages: [] }), (error) => {
    assert.equal(error.code, 'BAD_REQUEST')
    assert.match(error.message, /messages/)
    return true
  })
  for (const [field, value, code] of [
    ['botId', 'nobody', 'NOT_FOUND'],
    ['datasetId', 'nothing', 'NOT_FOUND'],
    ['skillsetId', 'nothing', 'NOT_FOUND'],
    ['moderation', true, 'NOT_IMPLEMENTED'],
    ['surprise', 1, 'NOT_IMPLEMENTED'],
    ['limits', { iterations: 0 }, 'BAD_REQUEST'],
  ]) {
    const request = { messages: [{ type: 'user', text: 'x' }], [field]: value }
    await assert.rejects(client.conversation.dispatch(null, request), (error) => {
      assert.equal(error.code, code, field)
      assert.match(error.message, new RegExp(field))
      return true
    })
  }
  await assert.rejects(client.channel.publish('short', { message: {} }), { code: 'BAD_REQUEST' })
})

const system = (request) =>
  request.messages
    .filter((message) => message.role === 'system')
    .map((message) => message.content)
    .join('\n')

async function run(request, which = client) {
  const { channelId } = await which.conversation.dispatch(null, request)
  return follow(which, channelId, { historyLength: 10000 })
}

const say = (text) => [{ type: 'user', text }]

test('a function that the caller handles: the run ends, and a dispatch with the response goes on', async () => {
  const functions = [weather()]
  const events = await run({ messages: say('[call weather]'), functions })
  assert.equal(events.at(-1).data.end.reason, 'activity')
  const request = events.filter((event) => event.type === 'message').at(-1).data
  assert.equal(request.meta.activity.type, 'request')
  const activity = structuredClone(request.meta.activity)
  activity.type = 'response'
  activity.function.result = { sky: 'grey' }
  const response = { type: 'activity', text: '', meta: { activity } }
  const more = await run({ messages: [...say('[call weather]'), request, response], functions })
  assert.equal(more.at(-1).data.text, 'The function said {"sky":"grey"}')
  assert.equal(more.at(-1).data.end.reason, 'stop')
})

test('a function that is called at the start, and one that is called at the end', async () => {
  const result = { data: { sky: 'clear' } }
  const first = await run({ messages: say('hello'), functions: [{ ...weather(result), call: { start: true } }] })
  const activities = first.filter((event) => event.type === 'message' && event.data.type === 'activity')
  assert.equal(activities[0].data.meta.activity.function.name, 'weather')
  const before = asked.length
  const last = await run({ messages: say('hello'), functions: [{ ...weather(result), call: { end: true } }] })
  // The model answers, is made to call the function once, and is not asked again.
  assert.equal(asked.length - before, 2)
  assert.ok(!asked.at(-2).choice?.function)
  assert.equal(asked.at(-1).choice.function.name, 'weather')
  assert.equal(asked.at(-1).messages.at(-1).role, 'user')
  const called = last.filter((event) => event.type === 'message' && event.data.type === 'activity')
  assert.deepEqual(called.map((event) => event.data.meta.activity.type), ['request', 'response'])
  assert.deepEqual(types(last).slice(-2), ['message', 'result'])
  assert.deepEqual(last.at(-2), called.at(-1))
  assert.equal(last.at(-1).data.end.reason, 'stop')
})

test('a call that does not fit its parameters goes back to the model', async () => {
  const events = await run({ messages: say('[call weather {"city":7}]'), functions: [weather({ data: 'clear' })] })
  assert.match(events.at(-1).data.text, /city/)
  assert.equal(events.at(-1).type, 'result')
})

test('limits end a run with their reason', async () => {
  const events = await run({
    messages: say('[call weather]'),
    functions: [weather({ data: 'clear' })],
    limits: { iterations: 1, calls: 1, continuations: 1 },
  })
  assert.equal(events.at(-1).data.end.reason, 'iteration')
})

test('a bot and a dataset of the configuration', async () => {
  await run({ messages: say('who are you?'), botId: 'zoo' })
  assert.match(system(asked.at(-1)), /support of the zoo/)
  assert.match(JSON.stringify(asked.at(-1)), /Wrens are fed at noon/)
})

test('extensions: a backstory, datasets, skillsets and features', async () => {
  await run({
    messages: say('hello'),
    backstory: 'You are brief.',
    extensions: { backstory: 'You like birds.', datasets: [{ name: 'birds', records: [{ text: 'The wren is small.' }] }] },
  })
  assert.match(system(asked.at(-1)), /You are brief\.[^]*You like birds\./)
  assert.match(JSON.stringify(asked.at(-1)), /The wren is small/)

  const records = Array.from({ length: 400 }, (_, number) => ({ text: `Bird ${number} lives in region ${number * 7}, far away.` }))
  const searched = await run({
    messages: say('[call search_birds {"query":"bird 123"}]'),
    extensions: { datasets: [{ name: 'birds', records }] },
  })
  assert.ok(types(searched).includes('operationBegin') && types(searched).includes('operationEnd'))
  assert.match(searched.at(-1).data.text, /Bird 123/)

  const ability = { name: 'shout', description: 'Shouts', instruction: 'Write it in capital letters.' }
  const events = await run({
    messages: say('[call shout {"input":"hi"}]'),
    extensions: { skillsets: [{ name: 'voice', abilities: [ability] }] },
  })
  assert.ok(asked.some((request) => /capital letters/.test(JSON.stringify(request.messages))))
  assert.match(events.at(-1).data.text, /Hello/)

  await run({ messages: say('hello'), extensions: { features: [{ name: 'time', options: { timezone: 'Europe/Berlin' } }] } })
  assert.equal(asked.at(-1).tools.length, 1)
  await assert.rejects(run({ messages: say('hello'), extensions: { features: [{ name: 'telepathy' }] } }), (error) => {
    assert.equal(error.code, 'NOT_IMPLEMENTED')
    assert.match(error.message, /time/)
    return true
  })
})

test('a contact, a time zone, and the meta of messages', async () => {
  const abroad = new ChatBotKit({ secret: SECRET, baseUrl: base, timezone: 'Asia/Tokyo' })
  const contactId = { fingerprint: 'f-123', name: 'Ada', email: 'ada@example.com' }
  const events = await run({ messages: [{ type: 'user', text: 'hello', meta: { source: 'sdk' } }], contactId }, abroad)
  assert.match(system(asked.at(-1)), /Asia\/Tokyo/)
  assert.match(system(asked.at(-1)), /Ada/)
  assert.doesNotMatch(JSON.stringify(asked.at(-1)), /ada@example|f-123/)
  assert.deepEqual(events[0].data.meta, { source: 'sdk' })
})

test('an attachment goes in as context', async () => {
  const url = `http://127.0.0.1:${upstream.address().port}/notes.txt`
  await run({ messages: say('what is in it?'), attachments: [{ url }] })
  assert.match(JSON.stringify(asked.at(-1)), /marmalade/)
})

test('a model that is busy is asked again', async () => {
  busy = 1
  const answer = await client.conversation.complete(null, { messages: say('[busy] hi') })
  assert.equal(answer.text, ANSWER)
  assert.equal(busy, 0)
})

test('what the SDK repeats starts nothing twice', async () => {
  let tries = 0
  // The first answer gets lost on its way, as behind a proxy that is overloaded.
  const proxy = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const { authorization } = request.headers
    const answer = await fetch(`${base}${request.url}`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body,
    })
    const text = await answer.text()
    tries += 1
    if (tries === 1) response.writeHead(503).end('{}')
    else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text)
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const proxied = new ChatBotKit({ secret: SECRET, baseUrl: `http://127.0.0.1:${proxy.address().port}` })
  const channelId = 'sdk-repeated-channel-0123456789'
  const answer = await proxied.conversation.dispatch(null, { channelId, messages: say('once') })
  proxy.close()
  assert.equal(answer.channelId, channelId)
  assert.equal(tries, 2)
  const events = await follow(client, channelId, { historyLength: 10000 })
  assert.equal(types(events).filter((type) => type === 'result').length, 1)
  const list = await fetch(`${base}/v1/run/list?take=1000`, { headers: { authorization: `Bearer ${SECRET}` } })
  const { items } = await list.json()
  assert.equal(items.filter((run) => run.channelId === channelId).length, 1)
})

test('a dispatch that met a busy server is repeated by the SDK, and starts one run', async () => {
  const address = await startServer('[server.http]\nrequests_per_second = 1\nburst = 1\n')
  const authorization = `Bearer ${SECRET}`
  const list = () => fetch(`${address}/v1/run/list`, { headers: { authorization } })
  // Until the account has made all the requests that it may.
  let refused
  do refused = await list()
  while (refused.status === 200)
  assert.equal(refused.status, 429)
  assert.match(refused.headers.get('retry-after'), /^[1-9]\d*$/)

  const statuses = []
  const real = globalThis.fetch
  globalThis.fetch = async (...request) => {
    const response = await real(...request)
    statuses.push(response.status)
    return response
  }
  const channelId = 'sdk-limited-channel-0123456789'
  try {
    const limited = new ChatBotKit({ secret: SECRET, baseUrl: address })
    const answer = await limited.conversation.dispatch(null, { channelId, messages: say('once') })
    assert.equal(answer.channelId, channelId)
  } finally {
    globalThis.fetch = real
  }
  assert.equal(statuses.at(-1), 200)
  assert.ok(statuses.length > 1 && statuses.slice(0, -1).every((status) => status === 429), statuses.join())

  let listed = await list()
  while (listed.status === 429) {
    await new Promise((resolve) => setTimeout(resolve, 300))
    listed = await list()
  }
  const { items } = await listed.json()
  assert.deepEqual(items.map((run) => run.channelId), [channelId])
})

test("the OpenAPI document has the SDK's operations, and every field that the SDK's types have", async () => {
  const document = await (await fetch(`${base}/v1/openapi.json`)).json()
  assert.equal(document.openapi, '3.1.0')
  const declared = readFileSync(new URL('./node_modules/@chatbotkit/sdk/dist/esm/types/api/v1.d.ts', import.meta.url), 'utf8')
  const properties = (schema) => {
    const target = schema.$ref ? document.components.schemas[schema.$ref.split('/').at(-1)] : schema
    return Object.keys(target.properties ?? {})
  }
  for (const [operation, path] of [
    ['completeConversation', '/conversation/complete'],
    ['dispatchConversation', '/conversation/dispatch'],
    ['subscribeChannelMessages', '/channel/{channelId}/subscribe'],
    ['publishChannelMessage', '/channel/{channelId}/publish'],
  ]) {
    const ours = document.paths[path].post
    assert.ok(ours, path)
    // The operation's block of the type declarations, then the fields of its body by their indentation.
    const block = declared.split(`\n    ${operation}: {\n`)[1]?.split('\n    };\n')[0]
    assert.ok(block, operation)
    const body = block.split('requestBody')[1].split('responses:')[0]
    const fields = [...new Set([...body.matchAll(/^ {20}(\w+)\??:/gm)].map((match) => match[1]))]
    const known = properties(ours.requestBody.content['application/json'].schema)
    assert.ok(fields.length > 0, operation)
    for (const field of fields) assert.ok(known.includes(field), `${operation}: ${field}`)
  }
})
