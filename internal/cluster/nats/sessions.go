package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/frame"
	"github.com/polywire/polywire/internal/cluster/places"
	"github.com/polywire/polywire/internal/cluster/roster"
)

// goneTTL is how long a removed record is remembered.
const goneTTL = time.Minute

// records are the records of sessions and users as one connection keeps them: in a stream that is the
// bucket <prefix>_sessions. It is made when it is needed first. The stream, unlike those that NATS
// makes for buckets, is read where it is written: another server may not have the last change yet.
type records struct {
	// Static after construction.
	js      jetstream.JetStream
	bucket  string
	servers int       // that the cluster has, if it is known; else 0
	joined  time.Time // when the connection was made

	opening chan struct{} // has something while the stream is opened, or stream is used
	stream  jetstream.Stream
	grows   bool // it is to be replicated as soon as there are enough servers
}

var _ places.Store = (*records)(nil)

func newRecords(nc *natsgo.Conn, prefix string, servers int) (*records, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	return &records{js: js, bucket: prefix + "_sessions", servers: servers, joined: time.Now(), opening: make(chan struct{}, 1)}, nil
}

func (r *records) subject(name string) string { return "$KV." + r.bucket + "." + name }

func (r *records) config(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "KV_" + r.bucket, Description: "sessions and users of polywire, and who has them", Subjects: []string{"$KV." + r.bucket + ".>"},
		MaxMsgsPerSubject: 1, MaxMsgSize: places.MaxRecord, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
		Replicas: replicas, AllowRollup: true, DenyDelete: true, AllowMsgTTL: true,
	}
}

// open returns the stream, and makes it if it is missing.
func (r *records) open(ctx context.Context) (jetstream.Stream, error) {
	select {
	case r.opening <- struct{}{}:
		defer func() { <-r.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if r.stream != nil {
		return r.stream, nil
	}
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	stream, err := r.js.Stream(ctx, "KV_"+r.bucket)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = r.create(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the bucket %s: %w", r.bucket, err)
	}
	info := stream.CachedInfo()
	if !info.Config.AllowMsgTTL || info.Config.AllowDirect {
		return nil, fmt.Errorf("the bucket %s is not one of polywire's: delete it, or choose another prefix", r.bucket)
	}
	r.stream = stream
	r.grows = grows(info, r.servers)
	return stream, nil
}

// create makes the stream.
func (r *records) create(ctx context.Context) (jetstream.Stream, error) {
	return createReplicated(r.servers, r.joined, func(n int) (jetstream.Stream, error) {
		stream, err := r.js.CreateStream(ctx, r.config(n))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return r.js.Stream(ctx, "KV_"+r.bucket) // another node was faster
		}
		return stream, err
	})
}

// grow replicates the stream when there are enough servers, until ctx ends.
func (r *records) grow(ctx context.Context) {
	for ctx.Err() == nil {
		roster.Sleep(ctx, growPause)
		r.opening <- struct{}{}
		grows := r.stream != nil && r.grows
		<-r.opening
		if !grows {
			continue
		}
		if replicate(ctx, func(ctx context.Context) error {
			_, err := r.js.UpdateStream(ctx, r.config(replicas))
			return err
		}) {
			r.forget()
		}
	}
}

// forget has the stream opened anew.
func (r *records) forget() {
	r.opening <- struct{}{}
	r.stream = nil
	<-r.opening
}

// failed returns an error of a request. If there is no stream any more, the next one makes it again.
func (r *records) failed(err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		r.forget()
	}
	return err
}

// Get returns a record.
func (r *records) Get(ctx context.Context, name string) (value []byte, rev uint64, err error) {
	stream, err := r.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	m, err := stream.GetLastMsgForSubject(ctx, r.subject(name))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, r.failed(err)
	case m.Header.Get("KV-Operation") != "":
		return nil, m.Sequence, nil
	}
	return append([]byte{}, m.Data...), m.Sequence, nil
}

// Put writes a record.
func (r *records) Put(ctx context.Context, name string, value []byte, rev uint64, ttl time.Duration) error {
	var options []jetstream.PublishOpt
	if ttl > 0 {
		options = append(options, jetstream.WithMsgTTL(ttl))
	}
	return r.write(ctx, &natsgo.Msg{Subject: r.subject(name), Header: natsgo.Header{}, Data: value}, rev, options)
}

// Delete removes a record.
func (r *records) Delete(ctx context.Context, name string, rev uint64) error {
	h := natsgo.Header{"KV-Operation": {"PURGE"}, jetstream.MsgRollup: {jetstream.MsgRollupSubject}}
	return r.write(ctx, &natsgo.Msg{Subject: r.subject(name), Header: h}, rev, []jetstream.PublishOpt{jetstream.WithMsgTTL(goneTTL)})
}

func (r *records) write(ctx context.Context, m *natsgo.Msg, rev uint64, options []jetstream.PublishOpt) error {
	if _, err := r.open(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	_, err := r.js.PublishMsg(ctx, m, append(options, jetstream.WithExpectLastSequencePerSubject(rev), jetstream.WithExpectStream("KV_"+r.bucket))...)
	if isStale(err) {
		return places.ErrStale
	}
	return r.failed(err)
}

// Sessions returns the session store of the cluster; see [places.Table.Sessions].
func (b *Backplane) Sessions(maxAge time.Duration) core.SharedSessions {
	return b.places.Sessions(maxAge)
}

// Places returns the places of users in the cluster.
func (b *Backplane) Places() core.Places { return b.places.Users() }

// newPlaces returns the places of this node.
func newPlaces(b *Backplane) *places.Table {
	return places.New(places.Options{
		ID: b.id, Reached: b.nodes.Known, Stats: b.o.Stats, Logger: b.o.Logger,
		Tell: func(to core.NodeID, name string) {
			_ = b.say(to, outgoing{}, frame.Frame{Kind: frame.Look, Notice: []byte(name)}) // it is counted
		},
	})
}

// keepPlaces writes and reads records until ctx ends, the life of the connection.
func (b *Backplane) keepPlaces(ctx context.Context, nc *natsgo.Conn, servers int) {
	r, err := newRecords(nc, b.o.Prefix, servers)
	if err != nil {
		b.o.Logger.Error("sessions cannot be kept in the cluster", "error", err)
		return
	}
	b.running.Go(func() { r.grow(ctx) })
	b.places.Run(ctx, r)
}
