// Command etcd-load puts a load on a server of the etcd v3 API and prints what it measured as one line of JSON.
//
// Every write is one that Kubernetes makes: a transaction with one condition on the key's revision. Each client owns its keys, so no write may
// fail; when the load has ended, all keys are read and compared with the answers that the clients got.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	opsPerConnection = 32
	maxConnections   = 16
	callTimeout      = 30 * time.Second
	watchers         = 10
	// Each is of 10 MB, and a server holds all of them.
	maxFullLists = 64
)

// result has times in milliseconds: of the operations; for the workload "watch" from the sending of a write to its event.
// Stale are answered writes that were not there when the load had ended, lost those that did not come in 5 s either; missed are events that a watcher was not sent, or not in order.
type result struct {
	Workload string  `json:"workload"`
	Clients  int     `json:"clients"`
	Ops      int     `json:"ops"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
	Max      float64 `json:"max"`
	Errors   int64   `json:"errors"`
	Lost     int     `json:"lost"`
	Stale    int     `json:"stale"`
	Missed   int     `json:"missed"`
	Error    string  `json:"error,omitempty"`
}

// object is what a client knows of a key that it owns.
type object struct {
	key      string
	revision int64
	sequence uint64
	// A write of it failed: it may hold something newer than the last answer tells.
	uncertain bool
	deleted   bool
}

type load struct {
	connections []*clientv3.Client
	prefix      string
	valueBytes  int
	// What is there when no clients run.
	objects    []*object
	errors     atomic.Int64
	firstError atomic.Value
}

type client struct {
	*load
	api       *clientv3.Client
	random    *rand.Rand
	number    int
	sequence  uint64
	objects   []*object
	latencies []time.Duration
	// Revisions of the writes that were answered.
	answered []int64
	lease    clientv3.LeaseID
}

func main() {
	endpoint := flag.String("endpoint", "http://127.0.0.1:2379", "")
	workloads := flag.String("workloads", "create", "of create, update, get, list, list-all, watch and mixed, one after the other on the same keys")
	clients := flag.String("clients", "64", "numbers of clients, one after the other on the same keys; a line is printed for each")
	seconds := flag.Float64("seconds", 3, "")
	valueBytes := flag.Int("value-bytes", 1000, "")
	keys := flag.Int("keys", 10000, "keys that are there before, for what reads or updates")
	prefix := flag.String("prefix", "/registry/", "")
	flag.Parse()
	l := &load{prefix: *prefix, valueBytes: *valueBytes}
	var counts []int
	for _, text := range strings.Split(*clients, ",") {
		count, err := strconv.Atoi(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		counts = append(counts, count)
	}
	for n := 0; n < min(maxConnections, 1+slices.Max(counts)/opsPerConnection); n++ {
		api, err := clientv3.New(clientv3.Config{Endpoints: []string{*endpoint}, DialTimeout: 10 * time.Second})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		l.connections = append(l.connections, api)
	}
	round := 0
	for _, workload := range strings.Split(*workloads, ",") {
		if workload != "create" && len(l.objects) == 0 {
			l.fill(*keys)
		}
		for _, count := range counts {
			if workload == "list-all" && count > maxFullLists {
				continue
			}
			round++
			r := l.run(workload, round, count, time.Duration(*seconds*float64(time.Second)))
			json.NewEncoder(os.Stdout).Encode(r)
		}
	}
}

func (l *load) run(workload string, round, count int, duration time.Duration) result {
	l.errors.Store(0)
	l.firstError = atomic.Value{}
	// One client uses one connection, many share them.
	connections := l.connections[:min(len(l.connections), 1+count/opsPerConnection)]
	all := make([]*client, count)
	for n := range all {
		number := round*1_000_000 + n
		all[n] = &client{load: l, api: connections[n%len(connections)], number: number, random: rand.New(rand.NewSource(int64(number)))}
	}
	shared := l.objects
	if workload == "create" {
		shared = nil
	}
	for n, o := range shared {
		c := all[n%count]
		c.objects = append(c.objects, o)
	}
	var stopWatching func(all []*client) (int, []time.Duration)
	if workload == "watch" || workload == "mixed" {
		stopWatching = l.watch()
	}
	begin := time.Now()
	deadline := begin.Add(duration)
	each(all, func(c *client) {
		for time.Now().Before(deadline) {
			c.step(workload)
		}
	})
	elapsed := time.Since(begin)
	r := result{Workload: workload, Clients: count, Seconds: elapsed.Seconds()}
	var latencies []time.Duration
	for _, c := range all {
		r.Ops += len(c.latencies)
		latencies = append(latencies, c.latencies...)
	}
	if stopWatching != nil {
		missing, lags := stopWatching(all)
		r.Missed = missing
		if workload == "watch" {
			latencies = lags
		}
	}
	// A server may show its newest state late; what is missing even then is lost.
	r.Stale = l.verify(all)
	for tries := 0; tries < 5 && r.Stale != 0; tries++ {
		time.Sleep(time.Second)
		if r.Lost = l.verify(all); r.Lost == 0 {
			break
		}
	}
	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	at := func(part float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return float64(latencies[min(len(latencies)-1, int(float64(len(latencies))*part))].Microseconds()) / 1000
	}
	if workload != "create" {
		l.objects = nil
		for _, c := range all {
			for _, o := range c.objects {
				if !o.deleted && !o.uncertain && o.revision != 0 {
					l.objects = append(l.objects, o)
				}
			}
		}
	}
	r.P50, r.P99, r.Max, r.Errors = at(0.5), at(0.99), at(1), l.errors.Load()
	if err, ok := l.firstError.Load().(string); ok {
		r.Error = err
	}
	return r
}

func each(all []*client, do func(c *client)) {
	var group sync.WaitGroup
	for _, c := range all {
		group.Go(func() { do(c) })
	}
	group.Wait()
}

// fill creates keys with 64 clients, which is no part of what is measured.
func (l *load) fill(keys int) {
	fillers := make([]*client, 64)
	for n := range fillers {
		fillers[n] = &client{load: l, api: l.connections[n%len(l.connections)]}
	}
	for n := 0; n < keys; n++ {
		o := &object{key: l.key("pods", -1, n)}
		filler := fillers[n%len(fillers)]
		filler.objects, l.objects = append(filler.objects, o), append(l.objects, o)
	}
	each(fillers, func(c *client) {
		for _, o := range c.objects {
			c.create(o, 0)
		}
	})
}

func (l *load) key(resource string, owner, n int) string {
	// Spread over the key space, as names are.
	hash := uint32(owner*7919+n) * 2654435761
	return fmt.Sprintf("%s%s/default/%08x-%d-%d", l.prefix, resource, hash, owner, n)
}

func (c *client) step(workload string) {
	begin := time.Now()
	switch workload {
	case "create":
		// Apart from those that are listed.
		o := &object{key: c.key("created", c.number, len(c.objects))}
		c.objects = append(c.objects, o)
		c.create(o, 0)
	case "update", "watch":
		c.update(c.any())
	case "get":
		c.get(c.any())
	case "list":
		c.list(c.prefix+"pods/", 500)
	case "list-all":
		c.list(c.prefix+"pods/", 0)
	case "mixed":
		c.mixed()
	}
	c.latencies = append(c.latencies, time.Since(begin))
}

// mixed does what the API server of a busy cluster does: leases and status are updated, some pods come and go, events have a time to live.
func (c *client) mixed() {
	switch n := c.random.Intn(100); {
	case n < 70:
		c.update(c.any())
	case n < 80:
		if c.lease == 0 {
			granted, err := c.api.Grant(context.Background(), 3600)
			if err != nil {
				c.fail(err)
				return
			}
			c.lease = granted.ID
		}
		o := &object{key: c.key("events", c.number, len(c.objects))}
		c.objects = append(c.objects, o)
		c.create(o, c.lease)
	case n < 85:
		o := &object{key: c.key("pods", c.number, 1_000_000+len(c.objects))}
		c.objects = append(c.objects, o)
		c.create(o, 0)
	case n < 90:
		c.delete(c.any())
	case n < 98:
		c.get(c.any())
	default:
		c.list(c.prefix+"pods/", 500)
	}
}

// any is one of the client's keys that is there; one is made if all are gone.
func (c *client) any() *object {
	for tries := 0; tries < 20 && len(c.objects) > 0; tries++ {
		if o := c.objects[c.random.Intn(len(c.objects))]; !o.deleted && !o.uncertain {
			return o
		}
	}
	o := &object{key: c.key("pods", c.number, 1_000_000+len(c.objects))}
	c.objects = append(c.objects, o)
	c.create(o, 0)
	return o
}

// value begins with a number that tells this write from the client's others, and the time at which it was sent.
func (c *client) value() []byte {
	value := make([]byte, max(16, c.valueBytes))
	c.sequence++
	binary.LittleEndian.PutUint64(value, c.sequence)
	binary.LittleEndian.PutUint64(value[8:], uint64(time.Now().UnixNano()))
	for n := 16; n < len(value); n++ {
		value[n] = 'v'
	}
	return value
}

func (c *client) create(o *object, lease clientv3.LeaseID) {
	c.write(o, clientv3.OpPut(o.key, string(c.value()), clientv3.WithLease(lease)))
}

func (c *client) update(o *object) {
	c.write(o, clientv3.OpPut(o.key, string(c.value())))
}

func (c *client) delete(o *object) {
	if c.write(o, clientv3.OpDelete(o.key)) {
		o.deleted = true
	}
}

func (c *client) write(o *object, op clientv3.Op) bool {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	txn := c.api.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(o.key), "=", o.revision)).Then(op)
	if o.revision != 0 {
		txn = txn.Else(clientv3.OpGet(o.key))
	}
	answer, err := txn.Commit()
	if err == nil && !answer.Succeeded {
		err = fmt.Errorf("a condition on %s, which nobody else writes, did not hold at revision %d", o.key, o.revision)
	}
	if err != nil {
		o.uncertain = true
		c.fail(err)
		return false
	}
	o.revision, o.sequence = answer.Header.Revision, c.sequence
	c.answered = append(c.answered, o.revision)
	return true
}

func (c *client) get(o *object) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	answer, err := c.api.Get(ctx, o.key)
	if err == nil && (len(answer.Kvs) != 1 || answer.Kvs[0].ModRevision != o.revision) {
		err = fmt.Errorf("a read of %s did not give what was written at revision %d", o.key, o.revision)
	}
	if err != nil {
		c.fail(err)
	}
}

func (c *client) list(prefix string, limit int64) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	answer, err := c.api.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithLimit(limit))
	if err == nil && (len(answer.Kvs) == 0 || limit > 0 && int64(len(answer.Kvs)) != limit) {
		err = fmt.Errorf("a list of %d gave %d keys", limit, len(answer.Kvs))
	}
	if err != nil {
		c.fail(err)
	}
}

func (l *load) fail(err error) {
	l.errors.Add(1)
	l.firstError.CompareAndSwap(nil, err.Error())
}

// watcher notes what it is sent: the revisions in their order, and how long after its sending each write was seen.
type watcher struct {
	mutex     sync.Mutex
	revisions []int64
	lags      []time.Duration
}

func (w *watcher) take(events []*clientv3.Event) {
	now := time.Now().UnixNano()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, event := range events {
		w.revisions = append(w.revisions, event.Kv.ModRevision)
		if len(event.Kv.Value) >= 16 {
			w.lags = append(w.lags, time.Duration(now-int64(binary.LittleEndian.Uint64(event.Kv.Value[8:]))))
		}
	}
}

// missing is how many of the revisions it has not been sent, and has been sent twice or out of order.
func (w *watcher) missing(revisions []int64) int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	wrong, seen := 0, make(map[int64]bool, len(w.revisions))
	for n, revision := range w.revisions {
		if n > 0 && revision <= w.revisions[n-1] {
			wrong++
		}
		seen[revision] = true
	}
	for _, revision := range revisions {
		if !seen[revision] {
			wrong++
		}
	}
	return wrong
}

// watch starts watchers; what it returns waits until they have seen every write that was answered, and tells how many they have not, and the lags.
func (l *load) watch() func(all []*client) (int, []time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	watching := make([]*watcher, watchers)
	for n := range watching {
		w := &watcher{}
		watching[n] = w
		events := l.connections[n%len(l.connections)].Watch(ctx, l.prefix, clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
		<-events
		group.Go(func() {
			for batch := range events {
				if err := batch.Err(); err != nil {
					l.fail(err)
				}
				w.take(batch.Events)
			}
		})
	}
	return func(all []*client) (int, []time.Duration) {
		var answered []int64
		for _, c := range all {
			answered = append(answered, c.answered...)
		}
		missing := 0
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			missing = 0
			for _, w := range watching {
				missing += w.missing(answered)
			}
			if missing == 0 || time.Now().After(deadline) {
				break
			}
		}
		cancel()
		group.Wait()
		var lags []time.Duration
		for _, w := range watching {
			lags = append(lags, w.lags...)
		}
		return missing, lags
	}
}

// verify reads every key in pages and counts those that do not hold what was answered last.
func (l *load) verify(all []*client) int {
	type stored struct {
		revision int64
		sequence uint64
	}
	found := map[string]stored{}
	end := clientv3.GetPrefixRangeEnd(l.prefix)
	for from := l.prefix; ; {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		answer, err := l.connections[0].Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(5000))
		cancel()
		if err != nil {
			l.fail(err)
			return -1
		}
		for _, kv := range answer.Kvs {
			found[string(kv.Key)] = stored{kv.ModRevision, binary.LittleEndian.Uint64(kv.Value)}
			from = string(kv.Key) + "\x00"
		}
		if !answer.More || len(answer.Kvs) == 0 {
			break
		}
	}
	lost := 0
	for _, c := range all {
		for _, o := range c.objects {
			if o.uncertain || o.revision == 0 {
				continue
			}
			at, isThere := found[o.key]
			if o.deleted == isThere || !o.deleted && (at.revision != o.revision || at.sequence != o.sequence) {
				lost++
			}
		}
	}
	return lost
}
