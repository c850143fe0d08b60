/** Does what etcd3 can do with the server whose address is given, and prints what each step answered: run by etcd-server.test.ts. */
import { setTimeout as delay } from 'node:timers/promises'
import { Etcd3 } from 'etcd3'

async function use(): Promise<readonly unknown[]> {
  const client = new Etcd3({ hosts: `http://${process.argv[2] ?? ''}` })
  try {
    const answers: unknown[] = []
    await client.put('foo').value('bar')
    answers.push(await client.get('foo').string(), await client.get('none').string())
    const watcher = await client.watch().prefix('w/').create()
    const seen: string[] = []
    watcher.on('put', ({ key, value }) => seen.push(`put ${key.toString()}=${value.toString()}`))
    watcher.on('delete', ({ key }) => seen.push(`delete ${key.toString()}`))
    for (let i = 0; i < 5; i++) await client.put(`w/${i}`).value(i)
    answers.push(await client.getAll().prefix('w/').strings(), await client.getAll().prefix('w/').count())
    const { deleted } = await client.delete().prefix('w/')
    answers.push(deleted)
    for (const deadline = Date.now() + 20_000; seen.length < 10 && Date.now() < deadline;) await delay(5)
    answers.push(seen)
    await watcher.cancel()
    const swapped = await client.if('foo', 'Value', '==', 'bar').then(client.put('foo').value('baz')).else(client.get('foo')).commit()
    const refused = await client.if('foo', 'Version', '>', 5).then(client.put('foo').value('no')).else(client.get('foo')).commit()
    answers.push(swapped.succeeded, refused.succeeded, refused.responses[0]?.response_range?.kvs[0]?.value.toString())
    const lease = client.lease(60)
    await lease.put('leased').value('x')
    answers.push(await client.get('leased').string())
    await lease.revoke()
    answers.push(await client.get('leased').string())
    const lock = client.lock('lock')
    await lock.acquire()
    answers.push(
      await client
        .lock('lock')
        .acquire()
        .then(
          () => 'acquired',
          (error: unknown) => String(error),
        ),
    )
    await lock.release()
    await client.stm().transact(async (transaction) => {
      await transaction.put('foo').value(`${await transaction.get('foo').string()}!`)
    })
    answers.push(await client.get('foo').string())
    answers.push(await client.leaseClient.leaseTimeToLive({ ID: '7', keys: true }).then(({ TTL }) => TTL))
    return answers
  } finally {
    client.close()
  }
}

process.stdout.write(JSON.stringify(await use()))
