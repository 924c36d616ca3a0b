package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/cluster/claims"
	"github.com/polywire/polywire/internal/cluster/roster"
)

const (
	// writeWait bounds one write to the bucket, openWait its opening.
	writeWait = 3 * time.Second
	openWait  = 5 * time.Second
	// firstOpenWait is how long the first attempt to open it may take.
	firstOpenWait = 500 * time.Millisecond
	// markerTTL is how long the log remembers that a key was removed. Who reads on after a
	// longer time reads all anew.
	markerTTL = 10 * time.Minute
	// lookAgain is how often waiting claims are looked at without a change.
	lookAgain = 250 * time.Millisecond
	// standstill is after which time without what this node has written the log is read anew.
	standstill = 3 * time.Second
	// refusedPause is how long a claim that came late waits to see what came before it.
	refusedPause = 30 * time.Millisecond
	// replayTick is how often a view that may lack a lease is looked at.
	replayTick = 50 * time.Millisecond
)

var (
	errStandstill = errors.New("JetStream has taken what it does not show")
	errWatch      = errors.New("the log of the channels has ended")
	errGrown      = errors.New("the bucket of the channels is replicated now")
	errUnopened   = fmt.Errorf("%w yet: JetStream has not answered so far", roster.ErrNoChannels)
)

// bucketNames are the names of the bucket of a cluster. Static after construction.
type bucketNames struct{ prefix string }

func (n bucketNames) bucket() string            { return n.prefix + "_channels" }
func (n bucketNames) subject(key string) string { return "$KV." + n.bucket() + "." + key }
func (n bucketNames) config(replicas int) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket: n.bucket(), Description: "channels of polywire and their owners", History: 1, Replicas: replicas,
		MaxValueSize: 1 << 20, LimitMarkerTTL: markerTTL,
	}
}

// bucket is the bucket of the channels as one connection has it.
type bucket struct {
	// Static after construction.
	c          *channels
	js         jetstream.JetStream
	kv         jetstream.KeyValue
	replicated bool
	grows      bool // it is to be replicated as soon as there are enough servers

	renewing sync.Mutex // held while the lease is renewed
}

// run opens the bucket and works with it until ctx ends, the life of the connection. servers
// is how many servers the cluster has, if it is known, and alone reports whether there is one only.
func (c *channels) run(ctx context.Context, nc *natsgo.Conn, servers int, alone func() bool) {
	c.health.Set(roster.AboutChannels, errUnopened)
	c.joined, c.alone = time.Now(), alone
	for failures := 0; ctx.Err() == nil; {
		b, err := c.open(ctx, nc, servers, min(firstOpenWait<<failures, openWait))
		if err == nil {
			failures = 0
			err = b.serve(ctx)
		}
		c.mu.Lock()
		c.live, c.bucket = false, nil
		c.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		// While a cluster begins, or elects a leader, JetStream does not answer: that is no news.
		if errors.Is(err, errGrown) {
			continue
		}
		if failures++; failures > 3 || !errors.Is(err, context.DeadlineExceeded) {
			c.trouble(err)
		}
		failures = min(failures, 10)
		roster.Sleep(ctx, min(roster.FirstPause<<failures, roster.MaxPause)/2)
	}
}

// trouble notes why channels cannot be claimed; nil if they can.
func (c *channels) trouble(err error) {
	if err != nil {
		err = c.explain(err)
		c.log.Warn("no channel can be owned now", logging.Bounded("", ""), slog.String("error", err.Error()))
	}
	c.health.Set(roster.AboutChannels, err)
}

// explain says what to do about an error. JetStream does not answer when its disk is full.
func (c *channels) explain(err error) error {
	if c.store != "" {
		if full := tryFolder(c.store); full != nil {
			return fmt.Errorf("%w: cluster.embedded.store_dir: %w", roster.ErrNoChannels, full)
		}
		if c.alone() {
			return fmt.Errorf("%w: no other node is there, and channels are kept while a majority of the nodes runs, two at least: "+
				"let cluster.embedded.routes name the others; a broker that is alone needs no cluster (%w)", roster.ErrNoChannels, err)
		}
	}
	return explainJetStream(err)
}

// explainJetStream says what to do about an error.
func explainJetStream(err error) error {
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, natsgo.ErrNoResponders):
		return fmt.Errorf("%w: JetStream is off, or has no majority of its servers (%w): "+
			"set cluster.embedded.store_dir, or turn JetStream on in the NATS server; a majority of the servers must run", roster.ErrNoChannels, err)
	case errors.Is(err, jetstream.ErrLimitMarkerTTLNotSupported):
		return fmt.Errorf("%w: the NATS server is too old, version 2.11 is needed: %w", roster.ErrNoChannels, err)
	case isFull(err):
		return fmt.Errorf("%w: JetStream has no room: make some where it stores (cluster.embedded.store_dir): %w", roster.ErrNoChannels, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, natsgo.ErrTimeout), errors.Is(err, jetstream.ErrNoStreamResponse),
		isOffline(err):
		return fmt.Errorf("%w: JetStream is not there: a majority of its servers must run, and those that have the bucket: %w",
			roster.ErrNoChannels, err)
	}
	return fmt.Errorf("%w: JetStream: %w", roster.ErrNoChannels, err)
}

// isFull reports whether JetStream says that its disk is full.
func isFull(err error) bool {
	const insufficientResources, storageExceeded = 10023, 10047
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == insufficientResources || api.ErrorCode == storageExceeded)
}

// isOffline reports whether JetStream says that too few of its servers run.
func isOffline(err error) bool {
	const streamOffline = 10118
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.Code == http.StatusServiceUnavailable || api.ErrorCode == streamOffline)
}

// open opens the bucket, and makes it if it is missing. wait is how long JetStream has to answer:
// what it is asked while it has no leader it never answers.
func (c *channels) open(ctx context.Context, nc *natsgo.Conn, servers int, wait time.Duration) (*bucket, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	looking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	kv, err := js.KeyValue(looking, c.names.bucket())
	ctx, cancel = context.WithTimeout(ctx, openWait)
	defer cancel()
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = c.create(ctx, js, servers)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the bucket %s: %w", c.names.bucket(), err)
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking at the bucket %s: %w", c.names.bucket(), err)
	}
	info, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok || !info.StreamInfo().Config.AllowMsgTTL {
		return nil, fmt.Errorf("the bucket %s cannot limit the time of single keys: delete it, or choose another prefix", c.names.bucket())
	}
	stream := info.StreamInfo()
	return &bucket{c: c, js: js, kv: kv, replicated: stream.Config.Replicas > 1, grows: grows(stream, servers)}, nil
}

// create makes the bucket.
func (c *channels) create(ctx context.Context, js jetstream.JetStream, servers int) (jetstream.KeyValue, error) {
	return createReplicated(servers, c.joined, func(n int) (jetstream.KeyValue, error) {
		kv, err := js.CreateKeyValue(ctx, c.names.config(n))
		if errors.Is(err, jetstream.ErrBucketExists) {
			return js.KeyValue(ctx, c.names.bucket()) // another node was faster
		}
		return kv, err
	})
}

// serve reads and writes the log until something fails.
func (b *bucket) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watcher, err := b.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("reading the log of the channels: %w", err)
	}
	b.c.mu.Lock()
	// What was written before may have been in another bucket of this name.
	b.c.bucket, b.c.acked = b, 0
	b.c.mu.Unlock()
	var parts sync.WaitGroup
	for _, part := range []func(context.Context) error{
		func(ctx context.Context) error { return b.watch(ctx, watcher) }, b.keepLease, b.work, b.grow,
	} {
		parts.Go(func() { cancel(part(ctx)) })
	}
	parts.Wait()
	return context.Cause(ctx)
}

// watch reads the log: first what it has now, and then what comes.
func (b *bucket) watch(ctx context.Context, watcher jetstream.KeyWatcher) error {
	defer func() {
		_ = watcher.Stop() // it fails if the connection is gone
		// It may be about to pass an entry on. Nobody waits for it: a consumer that is just being
		// made anew, because its server is gone, ends when its requests have timed out.
		go func() {
			for range watcher.Updates() {
				continue
			}
		}()
	}()
	r := &replay{c: b.c, view: newView(), ended: make(map[string]bool)}
	ticker := time.NewTicker(replayTick)
	defer ticker.Stop()
	for {
		var update jetstream.KeyValueEntry
		open := true
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			if r.finish(); r.done {
				ticker.Stop()
			}
			continue
		case update, open = <-watcher.Updates():
		}
		switch {
		case !open:
			return errWatch
		case update == nil:
			ticker.Reset(replayTick)
			r.until = time.Now().Add(b.c.replayTime())
			r.finish()
			continue
		}
		e := event{rev: update.Revision(), key: update.Key()}
		if update.Operation() == jetstream.KeyValuePut {
			var err error
			if e, err = decodeEvent(e.rev, e.key, update.Value()); err != nil {
				b.c.stats.Refused.Inc(core.ReasonMalformed)
			}
		}
		if r.done {
			b.c.read(e)
		} else {
			r.apply(e)
		}
	}
}

// replay is what a new watcher reads until it has read all that there was. While it reads, a
// lease may be renewed: then its entry is not where it was when the reading began, and comes
// only later. So leases that are missing are waited for: their nodes renew them soon.
//
// The log keeps one entry of each key. With more, a server does not end leases.
type replay struct {
	c     *channels
	view  *view
	ended map[string]bool // leases of which the end was read
	until time.Time       // how long missing leases are waited for; zero while there is more to read
	done  bool
}

func (r *replay) apply(e event) {
	r.view.apply(e)
	if lease, ok := strings.CutPrefix(e.key, leaseKeys); ok {
		if e.lease == nil {
			r.ended[lease] = true
		} else {
			delete(r.ended, lease)
		}
	}
	r.finish()
}

// finish passes the view on when it is complete.
func (r *replay) finish() {
	if r.done || r.until.IsZero() || time.Now().Before(r.until) && r.lacks() {
		return
	}
	r.done = true
	r.c.replay(r.view)
}

// lacks reports whether a lease is missing.
func (r *replay) lacks() bool {
	own := r.c.own.Lease()
	if own != "" && r.view.leases[own] == "" && !r.ended[own] {
		return true
	}
	for lease := range r.view.byLease {
		if r.view.leases[lease] == "" && !r.ended[lease] {
			return true
		}
	}
	return false
}

// grow replicates the bucket when there are enough servers. Then it is opened again.
func (b *bucket) grow(ctx context.Context) error {
	for b.grows && ctx.Err() == nil {
		if replicate(ctx, func(ctx context.Context) error {
			_, err := b.js.UpdateKeyValue(ctx, b.c.names.config(replicas))
			return err
		}) {
			return errGrown
		}
		roster.Sleep(ctx, growPause)
	}
	<-ctx.Done()
	return ctx.Err()
}

// work writes what waits in the queue.
func (b *bucket) work(ctx context.Context) error {
	for {
		t, pos, err := b.c.next(ctx)
		if err != nil {
			return err
		}
		if t.Claims() {
			b.claim(ctx, t, pos)
		} else if err := b.release(ctx, t); err != nil {
			roster.Sleep(ctx, lookAgain)
		}
	}
}

// claim writes a claim, if the log still ends at pos.
func (b *bucket) claim(ctx context.Context, t *claims.Task, pos uint64) {
	rev, err := b.put(ctx, channelKey(t.Channel), record(t.Entry), jetstream.WithExpectLastSequence(pos))
	switch {
	case err == nil:
		b.c.written(rev)
	case isStale(err):
		b.c.own.Back(t)
		b.catchUp(ctx, pos)
	default:
		b.c.own.Refuse(t, core.Failure{Code: core.Unreachable, Text: b.c.explain(err).Error()})
	}
}

// catchUp waits until the view has gone on from pos. If nothing comes, the end of the log has
// been removed; then something is written behind it.
func (b *bucket) catchUp(ctx context.Context, pos uint64) {
	timer := time.NewTimer(refusedPause)
	defer timer.Stop()
	for {
		changed := b.c.own.Changed()
		b.c.mu.Lock()
		gone := b.c.view.pos > pos
		b.c.mu.Unlock()
		if gone {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-timer.C:
			_ = b.renew(ctx) // if it fails, it is tried again
			return
		}
	}
}

// release writes that a channel is free.
func (b *bucket) release(ctx context.Context, t *claims.Task) error {
	rev, err := b.remove(ctx, channelKey(t.Channel), jetstream.WithExpectLastSequencePerSubject(t.Rev))
	switch {
	case err == nil:
		b.c.written(rev)
	case isStale(err): // the channel is not this node's any more
	default:
		b.c.own.Back(t)
		return err
	}
	return nil
}

// put writes a value.
func (b *bucket) put(ctx context.Context, key string, value []byte, options ...jetstream.PublishOpt) (rev uint64, err error) {
	return b.publish(ctx, &natsgo.Msg{Subject: b.c.names.subject(key), Header: natsgo.Header{}, Data: value}, options)
}

// remove writes that a key has no value.
func (b *bucket) remove(ctx context.Context, key string, options ...jetstream.PublishOpt) (rev uint64, err error) {
	h := natsgo.Header{"KV-Operation": {"PURGE"}, jetstream.MsgRollup: {jetstream.MsgRollupSubject}}
	return b.publish(ctx, &natsgo.Msg{Subject: b.c.names.subject(key), Header: h}, append(options, jetstream.WithMsgTTL(markerTTL)))
}

func (b *bucket) publish(ctx context.Context, m *natsgo.Msg, options []jetstream.PublishOpt) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	ack, err := b.js.PublishMsg(ctx, m, options...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// isStale reports whether a write was refused because the log has gone on.
func isStale(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
