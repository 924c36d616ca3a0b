package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The subscriptions that arrive at one node: so many clients with so many topics each.
const (
	topicClients   = 100
	topicsOfClient = 1000
	manyTopics     = topicClients * topicsOfClient
)

// topicRow is what many topics cost through one engine: medians over the rounds.
type topicRow struct {
	name string
	topicFigure
}

// topicFigure is one measurement.
type topicFigure struct {
	// CPU is the processor time of a subscription in microseconds: of its own node, the other one, and
	// the engine if it is a process of its own.
	CPU [3]float64
	// Bytes is the resident memory of a subscription, likewise.
	Bytes [3]float64
	// Taken is after how many seconds the last subscription was acknowledged, Heard after how many
	// the other node's messages reached all clients.
	Taken, Heard float64
	// Joined is after how many seconds a node that has just come, or one whose engine has, reaches all
	// clients with their topics.
	Joined float64
}

// topicRows measures all engines, and a node that is alone.
func (h *hop) topicRows(ctx context.Context) ([]topicRow, error) {
	names := []string{"one node"}
	use := []*engine{nil}
	for _, e := range engines(h.peers) {
		if h.only.MatchString("topics, " + e.name) {
			names, use = append(names, e.name), append(use, &e)
		}
	}
	if len(use) == 1 {
		return nil, nil
	}
	figures := make([][]topicFigure, len(use))
	for round := range h.plan.rounds {
		for i, e := range use {
			f, err := h.topics(ctx, e)
			if err == nil && e != nil {
				f.Joined, err = h.join(ctx, e)
			}
			if err != nil {
				return nil, fmt.Errorf("measuring %d topics, %s: %w", manyTopics, names[i], err)
			}
			figures[i] = append(figures[i], f)
			fmt.Printf("round %d  %d topics, %s: %.2f µs CPU, %.0f bytes, taken in %.2f s, heard in %.2f s, joined in %.2f s\n",
				round+1, manyTopics, names[i], f.CPU, f.Bytes, f.Taken, f.Heard, f.Joined)
		}
	}
	var rows []topicRow
	for i, name := range names {
		rows = append(rows, topicRow{name, medianTopics(figures[i])})
	}
	return rows, nil
}

func medianTopics(figures []topicFigure) (m topicFigure) {
	over := func(value func(topicFigure) float64) float64 {
		values := make([]float64, len(figures))
		for i, f := range figures {
			values[i] = value(f)
		}
		return median(values)
	}
	for role := range m.CPU {
		m.CPU[role] = over(func(f topicFigure) float64 { return f.CPU[role] })
		m.Bytes[role] = over(func(f topicFigure) float64 { return f.Bytes[role] })
	}
	m.Taken = over(func(f topicFigure) float64 { return f.Taken })
	m.Heard = over(func(f topicFigure) float64 { return f.Heard })
	m.Joined = over(func(f topicFigure) float64 { return f.Joined })
	return m
}

// topics measures subscriptions that arrive at the second of two nodes.
func (h *hop) topics(ctx context.Context, e *engine) (f topicFigure, err error) {
	c, pub, sub, err := h.startPair(ctx, e, formatOf("vws"))
	if err != nil {
		return f, err
	}
	defer c.stop()
	probe, err := newProbe(pub, sub)
	if err != nil {
		return f, err
	}
	defer probe.close()
	roles := c.roles()
	if len(roles) > 1 { // the node of the subscriptions first
		roles[0], roles[1] = roles[1], roles[0]
	}
	if err := pause(ctx, time.Second); err != nil {
		return f, err
	}
	var cpu, memory [3]float64
	read := func(sign float64) error {
		for i, r := range roles {
			used, err := spent(r)
			if err != nil {
				return err
			}
			bytes, err := r[0].resident()
			if err != nil {
				return err
			}
			cpu[i] += sign * micros(used) / manyTopics
			memory[i] += sign * float64(bytes) / manyTopics
		}
		return nil
	}
	if err := read(-1); err != nil {
		return f, err
	}
	start := time.Now()
	if err := probe.subscribe(); err != nil {
		return f, err
	}
	f.Taken = time.Since(start).Seconds()
	if err := probe.heard(ctx); err != nil {
		return f, err
	}
	f.Heard = time.Since(start).Seconds()
	if err := pause(ctx, h.plan.settle); err != nil {
		return f, err
	}
	err = read(1)
	f.CPU, f.Bytes = cpu, memory
	return f, err
}

// join measures how soon a node that has just come reaches another one with many topics. If the
// engine is a process of its own, both nodes are there and the engine comes.
func (h *hop) join(ctx context.Context, e *engine) (seconds float64, err error) {
	c, err := h.newNodes(h.broker, e, 2, formatOf("vws"))
	if err != nil {
		return 0, err
	}
	defer c.stop()
	if err := c.start(ctx, 1); err != nil {
		return 0, err
	}
	come := func() error { return c.start(ctx, 0) }
	if c.beside != nil {
		if err := come(); err != nil {
			return 0, err
		}
		come = func() error { return c.startEngine(ctx) }
	}
	probe, err := newProbe(netip.AddrPort{}, c.at[1])
	if err != nil {
		return 0, err
	}
	defer probe.close()
	if err := probe.subscribe(); err != nil {
		return 0, err
	}
	if err := pause(ctx, time.Second); err != nil {
		return 0, err
	}
	if err := come(); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := probe.publishAt(c.at[0]); err != nil {
		return 0, err
	}
	err = probe.heard(ctx)
	return time.Since(start).Seconds(), err
}

// probe is clients with many topics and one that publishes to some of them.
type probe struct {
	clients   []*wire
	publisher *wire // nil until there is one
}

// newProbe connects the clients, and the one that publishes if pub is an address.
func newProbe(pub, sub netip.AddrPort) (*probe, error) {
	p := new(probe)
	for range topicClients {
		w, err := newWire(sub, formatOf("vws").path(), false, 64<<10)
		if err != nil {
			p.close()
			return nil, err
		}
		p.clients = append(p.clients, w)
	}
	if pub.IsValid() {
		if err := p.publishAt(pub); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func (p *probe) publishAt(pub netip.AddrPort) (err error) {
	p.publisher, err = newWire(pub, formatOf("vws").path(), false, 64<<10)
	return err
}

func (p *probe) close() {
	for _, w := range p.clients {
		w.close()
	}
	if p.publisher != nil {
		p.publisher.close()
	}
}

// topicOf returns the n-th topic of a client.
func topicOf(client, n int) string { return fmt.Sprintf("many/topic-%d/%d", client, n) }

// subscribe subscribes all clients to all their topics, and returns when all is acknowledged.
func (p *probe) subscribe() error {
	var out []byte
	for i, w := range p.clients {
		out = out[:0]
		for n := range topicsOfClient {
			out = append(out, dialect{}.clientFrame(`{"k":"s","t":"`+topicOf(i, n)+`","i":1}`)...)
		}
		if err := writeAll(w.fd, out); err != nil {
			return fmt.Errorf("subscribing: %w", err)
		}
	}
	for _, w := range p.clients {
		if err := awaitMany(w, newPattern(`{"k":"a","i":1}`), topicsOfClient); err != nil {
			return fmt.Errorf("reading acknowledgements: %w", err)
		}
	}
	return nil
}

// heard publishes, again and again, to one topic of each client, until each client has heard something.
func (p *probe) heard(ctx context.Context) error {
	left := make(map[int]string)
	for i := range p.clients {
		left[i] = `"t":"` + topicOf(i, (i*7919)%topicsOfClient) + `"`
	}
	deadline := time.Now().Add(joinTimeout)
	for seq := 0; len(left) > 0; seq++ {
		for _, t := range left {
			if err := p.publisher.say([]byte(`{"d":` + strconv.Itoa(seq) + `,` + t + `}`)); err != nil {
				return fmt.Errorf("publishing: %w", err)
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
		for i, t := range left {
			message, err := p.clients[i].awaitNone()
			if err != nil {
				return err
			}
			if message == nil {
				continue
			}
			if !bytes.Contains(message, []byte(t)) {
				return fmt.Errorf("client %d: got %q, want something about %s", i, message, t)
			}
			delete(left, i)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d clients hear nothing after %v", len(left), len(p.clients), joinTimeout)
		}
	}
	return nil
}

// awaitNone returns the next message if it has come already; nil if not.
func (w *wire) awaitNone() ([]byte, error) {
	if message, err := w.next(); message != nil || err != nil {
		return message, err
	}
	ready := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(ready, 0); n <= 0 {
		if err == unix.EINTR {
			err = nil
		}
		return nil, err
	}
	if err := w.read(); err != nil {
		return nil, err
	}
	return w.next()
}

// printTopics writes the rows as a table.
func printTopics(t io.Writer, rows []topicRow) {
	fmt.Fprintf(t, "\n%d topics at one node\tCPU µs/topic: there, other node, engine\tbytes/topic: likewise\ttaken s\theard s\tjoined s\ttarget\t\n", manyTopics)
	for _, r := range rows {
		target := 0.0
		if r.name == engineEmbedded || r.name == engineNATS {
			target = targetHopJoin
		}
		fmt.Fprintf(t, "%s\t%.2f %.2f %.2f\t%.0f %.0f %.0f\t%.2f\t%.2f\t%.2f\t%s\n", r.name, r.CPU[0], r.CPU[1], r.CPU[2],
			r.Bytes[0], r.Bytes[1], r.Bytes[2], r.Taken, r.Heard, r.Joined, verdict("<= %.0f\t%s", r.Joined, target))
	}
}
