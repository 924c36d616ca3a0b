package soak

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

const (
	// dialPause is how long a client waits after an attempt to connect, and dialTime bounds one: a
	// node that stands still never answers.
	dialPause = 50 * time.Millisecond
	dialTime  = 30 * time.Second
	// insist is how often a client of a channel registers it while there are faults.
	insist = time.Second
)

// member is a client of one node that connects again when it is cut off, until its context ends.
type member struct {
	ledger  *ledger
	name    string
	node    int
	url     string
	by      ws.Dialer
	dialect dialect
	part    part
	pace    time.Duration // between two ticks
}

// part is what a member does. hear is called by one goroutine, begin and tick by another one.
type part interface {
	// begin is called with each new connection, before hear.
	begin(m *member, conn *client, number int) error
	// tick says what there is to say.
	tick(m *member, conn *client) error
	hear(m *member, conn *client, message []byte) error
}

func (m *member) run(ctx context.Context) {
	for number := 1; ctx.Err() == nil; number++ {
		since := m.ledger.tick()
		conn, err := m.dial(ctx)
		if err == nil {
			err = m.stay(ctx, conn, number)
			conn.leave()
		}
		if ctx.Err() == nil {
			m.ledger.cut(m.name, m.node, since, err)
			pause(ctx, dialPause)
		}
	}
}

// dial connects to the node. While it stands still, it tries again.
func (m *member) dial(ctx context.Context) (conn *client, err error) {
	for {
		limited, cancel := context.WithTimeout(ctx, dialTime)
		conn, err = dial(limited, m.by, m.url, m.dialect)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || m.ledger.quiet() {
			return conn, err
		}
	}
}

// stay returns when the connection has ended, with the reason, or when ctx has.
func (m *member) stay(ctx context.Context, conn *client, number int) error {
	if err := m.part.begin(m, conn, number); err != nil {
		return err
	}
	over := make(chan error, 1)
	go func() {
		for {
			message, err := conn.hear()
			if err == nil {
				err = m.part.hear(m, conn, message)
			}
			if err != nil {
				over <- err
				return
			}
		}
	}()
	ticker := time.NewTicker(m.pace)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = conn.conn.SetReadDeadline(time.Unix(1, 0))
			<-over
			return nil
		case err := <-over:
			return err
		case <-ticker.C:
			// Who cannot write reads why.
			_ = m.part.tick(m, conn)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// words returns the words of the text in a message that a client of the cluster has written.
func words(message []byte) []string { return strings.Fields(between(message, "#", ";")) }

func numbers(texts ...string) []int {
	all := make([]int, len(texts))
	for i, text := range texts {
		all[i], _ = strconv.Atoi(text) // 0 is no number of anything
	}
	return all
}

// talker publishes numbered messages at a topic of its own.
type talker struct {
	conn int       // the number of its connection
	next time.Time // when it registers again
}

func (p *talker) begin(m *member, conn *client, number int) error {
	p.conn, p.next = number, time.Time{}
	return nil
}

func (p *talker) tick(m *member, conn *client) error {
	var all []string
	if own := conn.own(m.name); own != "" && time.Now().After(p.next) && !m.ledger.quiet() {
		p.next = time.Now().Add(insist)
		all = append(all, own)
	}
	topic := topicOf(m.name)
	all = append(all, conn.publish(topic, fmt.Sprintf("#m %s %d %d %s;", m.name, p.conn, m.ledger.say(m.name), topic)))
	return conn.say(all...)
}

func (p *talker) hear(*member, *client, []byte) error { return nil }

// hearer hears all talkers and all owners of contested channels.
type hearer struct{ topics []string }

func (p *hearer) begin(m *member, conn *client, _ int) error {
	m.ledger.came(m.name)
	return p.tick(m, conn)
}

// tick subscribes again, which changes nothing: some formats end silent clients.
func (p *hearer) tick(_ *member, conn *client) error {
	all := make([]string, len(p.topics))
	for i, topic := range p.topics {
		all[i] = conn.subscribe(topic)
	}
	return conn.say(all...)
}

func (p *hearer) hear(m *member, _ *client, message []byte) error {
	switch w := words(message); {
	case len(w) == 5 && w[0] == "m":
		n := numbers(w[2], w[3])
		m.ledger.hear(m.name, w[1], n[0], n[1], w[4])
	case len(w) == 5 && w[0] == "o":
		if n := numbers(w[2], w[3]); n[0] != 0 {
			m.ledger.hearOwner(m.name, w[1], n[0], n[1])
		}
	case len(w) > 0:
		m.ledger.report("%s heard what is not for it: %q", m.name, message)
	}
	return nil
}

// server answers a service of its own, and perhaps one that others offer too, with the question.
type server struct {
	services []string
	takes    time.Duration // to answer
	next     time.Time     // when it registers again
}

func (p *server) begin(m *member, conn *client, _ int) error {
	p.next = time.Now().Add(insist)
	return p.offer(conn)
}

func (p *server) offer(conn *client) error {
	var all []string
	for _, s := range p.services {
		all = append(all, conn.offer(s))
	}
	return conn.say(all...)
}

func (p *server) tick(m *member, conn *client) error {
	// A channel may still belong to the client before, whose node is gone.
	if conn.own(m.name) == "" || time.Now().Before(p.next) || m.ledger.quiet() {
		return nil
	}
	p.next = time.Now().Add(insist)
	return p.offer(conn)
}

func (p *server) hear(m *member, conn *client, message []byte) error {
	id := conn.request(message)
	if id == "" {
		return nil
	}
	answer := conn.answer(id, p.services[0], "#"+between(message, "#", ";")+";", false)
	if p.takes == 0 {
		return conn.say(answer)
	}
	// Who reads finds out if it cannot be written.
	time.AfterFunc(p.takes, func() { _ = conn.say(answer) })
	return nil
}

// service is one that a client at a node answers. The node may be nearest.
type service struct {
	name  string
	node  int
	owned bool // who answers has to own a channel
	held  bool // who answers takes its time
}

// atOnce is how many calls of one client are in flight.
const atOnce = 8

// asker asks all services in turn, several at once, but none twice at once.
type asker struct {
	services []service

	turn, number int // of the goroutine of tick

	mu       sync.Mutex
	inFlight map[string]int // the numbers of calls, by what the format calls them
}

func (p *asker) begin(*member, *client, int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight = make(map[string]int)
	return nil
}

func (p *asker) tick(m *member, conn *client) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for range p.services {
		if len(p.inFlight) >= atOnce {
			break
		}
		p.turn = (p.turn + 1) % len(p.services)
		s := p.services[p.turn]
		ref := fmt.Sprintf("%08d", p.number+1)
		key := ref
		if !conn.named() {
			key = s.name
		}
		if p.inFlight[key] != 0 {
			continue
		}
		p.number++
		p.inFlight[key] = p.number
		m.ledger.ask(m.name, p.number, s)
		all = append(all, conn.call(ref, s.name, "#"+questionOf(m.name, p.number)+";"))
	}
	return conn.say(all...)
}

func (p *asker) hear(m *member, conn *client, message []byte) error {
	key, what := conn.hears(message)
	if !conn.named() && (what == refused || key != "") {
		key = between(message, `"channel":"`, `"`) + "/" + between(message, `"topic":"`, `"`)
	}
	if key == "" || what != ended && what != refused {
		return nil
	}
	p.mu.Lock()
	number := p.inFlight[key]
	delete(p.inFlight, key)
	p.mu.Unlock()
	m.ledger.answered(m.name, number, strings.Join(words(message), " "), string(message))
	return nil
}
