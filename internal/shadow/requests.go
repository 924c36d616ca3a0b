package shadow

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/internal/relay"
)

const (
	// maxAsking is how many requests the shadow is asked at once, and maxRequests how many wait for one
	// of their answers.
	maxAsking   = 64
	maxRequests = 1024
)

// request is an HTTP request that is no upgrade, of which both servers are asked.
type request struct {
	pair       *pair
	exchange   *relay.Exchange
	seq        uint64    // of the order
	said       *said     // the old server's answer
	at         time.Time // when the old server answered
	old, fresh *httpAnswer
}

// httpAnswer is an answer. Status 0 is none.
type httpAnswer struct {
	status int
	body   []byte
}

// shadowAnswer is the shadow's answer to a request.
type shadowAnswer struct {
	to     *relay.Exchange
	answer httpAnswer
	err    error
}

// ask asks the shadow what the old server was asked.
func (c *comparer) ask(p *pair, e *relay.Exchange) {
	c.seen.Requests++
	for _, id := range (reader{}).idsOf(ws.OpText, e.Body) {
		c.ids.said(id)
	}
	if len(c.requests) == maxRequests || len(e.Body) > c.o.ConnectionBytes || !c.budget.take(len(e.Body)) {
		c.seen.NotCompared[Beyond]++
		return
	}
	r := &request{pair: p, exchange: e, seq: c.order.seq}
	c.requests[e] = r
	c.held = append(c.held, r)
	c.flushAll()
}

// askNow asks the shadow.
func (c *comparer) askNow(r *request) {
	e := r.exchange
	c.budget.give(len(e.Body))
	if _, wanted := c.requests[e]; !wanted {
		return
	}
	if c.asking == maxAsking {
		c.seen.NotCompared[Beyond]++
		c.dropRequest(r)
		return
	}
	c.asking++
	head := requestHead(e.Request, r.pair.of.Client, fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n", len(e.Body)))
	c.twins.Go(func() {
		a := shadowAnswer{to: e}
		a.answer, a.err = c.askShadow(e.Request, append(head, e.Body...))
		c.answers <- a // there is room for all
	})
}

// askShadow sends a request to the shadow, on a goroutine of its own.
func (c *comparer) askShadow(q *http.Request, text []byte) (a httpAnswer, err error) {
	ctx, cancel := context.WithTimeout(c.running, upgradeTimeout)
	defer cancel()
	conn, err := c.o.New(ctx)
	if err != nil {
		return a, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := conn.Write(text); err != nil {
		return a, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), q)
	if err != nil {
		return a, err
	}
	a.status = answer.StatusCode
	a.body, err = io.ReadAll(io.LimitReader(answer.Body, int64(c.o.MaxMessage)+1))
	if len(a.body) > c.o.MaxMessage {
		err = errors.New("the answer is too long")
	}
	return a, err
}

// shadowAnswered has the shadow's answer.
func (c *comparer) shadowAnswered(a shadowAnswer) {
	c.asking--
	r, ok := c.requests[a.to]
	if !ok {
		return
	}
	r.fresh = &a.answer
	c.compareAnswers(a.to, r)
}

// oldAnswered has the old server's answer.
func (c *comparer) oldAnswered(e *relay.Exchange, a httpAnswer) {
	if r, ok := c.requests[e]; ok {
		r.old, r.at = &a, time.Now()
		if r.fresh == nil {
			r.said = c.order.opens()
		}
		c.compareAnswers(e, r)
	}
}

// compareAnswers compares the answers to a request once both are there.
func (c *comparer) compareAnswers(e *relay.Exchange, r *request) {
	if r.old == nil || r.fresh == nil {
		return
	}
	c.dropRequest(r)
	if r.old.status == r.fresh.status && c.sameBody(e.Request, r.old.body, r.fresh.body) {
		c.seen.Equal++
		return
	}
	c.differ(HTTP, r.pair, r.pair.recent.said, func() []string {
		line := func(a *httpAnswer) string {
			if a.status == 0 {
				return "no answer"
			}
			if len(a.body) == 0 {
				return fmt.Sprintf("%d, no body", a.status)
			}
			return fmt.Sprintf("%d, body %s", a.status, c.out.censor.Message(true, ws.OpText, a.body))
		}
		return []string{
			"asked:          " + c.out.censor.Request(e.Request, e.Body),
			"the old server: " + line(r.old),
			"the broker:     " + line(r.fresh),
		}
	})
}

func (c *comparer) dropRequest(r *request) {
	delete(c.requests, r.exchange)
	r.said.ends()
}

// sameBody compares the bodies of two answers.
func (c *comparer) sameBody(q *http.Request, old, fresh []byte) bool {
	if bytes.Equal(old, fresh) || q.Method == http.MethodHead {
		return true
	}
	plain := reader{} // a body is no message of the format
	o, f := plain.form(ws.OpText, old), plain.form(ws.OpText, fresh)
	if o.text != f.text || !c.ids.same(o.ids, f.ids) {
		return false
	}
	c.ids.join(o.ids, f.ids)
	return true
}

// settleRequests looks for requests that the shadow has not answered in time.
func (c *comparer) settleRequests(now time.Time) {
	for e, r := range c.requests {
		if r.old != nil && now.Sub(r.at) > max(c.o.Window, upgradeTimeout) {
			r.fresh = new(httpAnswer)
			c.compareAnswers(e, r)
		}
	}
}
