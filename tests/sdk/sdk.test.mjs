// The official JavaScript SDK, unchanged, against the real server with a scripted upstream model:
// dispatch, subscribe with historyLength, publish, complete (streaming and not), functions, errors.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { ChatBotKit } from '@chatbotkit/sdk'

const SECRET = 'sdk-test-secret-one'
const OTHER_SECRET = 'sdk-test-secret-two'
const ANSWER = 'Hello, wörld \u{1f600}\u2028done.'

let upstream, server, folder, client, other, base

// The upstream: an OpenAI-compatible endpoint. A prompt that holds "[call NAME]" or "[call NAME {…}]" makes it call that
// function first; then, and otherwise, it answers ANSWER a few characters at a time.
function startUpstream() {
  const http = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      const { messages } = JSON.parse(body)
      const prompt = messages.filter((message) => message.role === 'user').at(-1)?.content ?? ''
      const text = typeof prompt === 'string' ? prompt : prompt.map((part) => part.text ?? '').join('')
      const [, wanted, given] = /\[call (\w+)(?: (\{.*?\}))?\]/.exec(text) ?? []
      const answered = messages.some((message) => message.role === 'tool')
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const send = (delta, rest = {}) =>
        response.write(`data: ${JSON.stringify({ model: 'scripted', choices: [{ index: 0, delta, ...rest }] })}\n\n`)
      if (wanted && !answered) {
        send({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: wanted, arguments: '' } }] })
        send({ tool_calls: [{ index: 0, function: { arguments: given ?? '{"city":"Rio"}' } }] })
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

before(async () => {
  upstream = await startUpstream()
  const port = await freePort()
  folder = mkdtempSync(join(tmpdir(), 'switchboard-sdk-'))
  const configuration = join(folder, 'config.toml')
  writeFileSync(configuration, CONFIGURATION)
  const upstreamUrl = `http://127.0.0.1:${upstream.address().port}/v1`
  server = spawn(
    process.env.SWITCHBOARD_BIN ?? '../../target/debug/switchboard',
    ['--config', configuration, 'serve', '--listen', `127.0.0.1:${port}`, '--data-dir', join(folder, 'data'), '--model-url', upstreamUrl, '--model', 'scripted'],
    {
      env: { PATH: process.env.PATH, HOME: folder, SWITCHBOARD_SECRET: `${SECRET},${OTHER_SECRET}` },
      stdio: ['ignore', 'inherit', 'inherit'],
    }
  )
  base = `http://127.0.0.1:${port}`
  const deadline = Date.now() + 20_000
  for (;;) {
    assert.equal(server.exitCode, null, 'the server has ended')
    assert.ok(Date.now() < deadline, 'the server does not answer')
    const health = await fetch(`${base}/v1/health`).catch(() => null)
    if (health?.ok) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  client = new ChatBotKit({ secret: SECRET, baseUrl: base })
  other = new ChatBotKit({ secret: OTHER_SECRET, baseUrl: base })
})

after(() => {
  server?.kill('SIGTERM')
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
  await assert.rejects(
    client.conversation.dispatch(null, { messages: [{ type: 'user', text: 'x' }], botId: 'b' }).then(() => {}),
    (error) => {
      assert.equal(error.code, 'NOT_FOUND')
      assert.match(error.message, /botId/)
      return true
    }
  )
  await assert.rejects(client.channel.publish('short', { message: {} }), { code: 'BAD_REQUEST' })
})
