package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// answerer serves until ctx ends: well, badly, or not at all. It leaves and comes back in between.
type answerer struct {
	url     string
	dialect dialect
	service string
}

func (a *answerer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := a.visit(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serving %s: %w", a.service, err)
		}
	}
	return nil
}

func (a *answerer) visit(ctx context.Context) error {
	conn, err := dial(ctx, ws.DefaultDialer, a.url, a.dialect)
	if err != nil {
		return fmt.Errorf("dialling: %w", err)
	}
	defer conn.leave()
	defer context.AfterFunc(ctx, func() { _ = conn.conn.SetReadDeadline(time.Unix(1, 0)) })()
	if err := conn.say(a.dialect.offer(a.service)); err != nil {
		return err
	}
	for requests := rand.IntN(4000); requests > 0; {
		message, err := conn.hear()
		if err != nil {
			return ending(err)
		}
		id := a.dialect.request(message)
		if id == "" {
			// While the predecessor still owns the channel the offer is refused: try again.
			if a.refused(message) {
				return nil
			}
			continue
		}
		requests--
		if err := conn.say(a.say(id)...); err != nil {
			return ending(err)
		}
	}
	return nil
}

// refused reports whether a message says that the channel is taken.
func (a *answerer) refused(message []byte) bool {
	return a.dialect == wubsub{} && between(message, `"type":"`, `"`) == "error"
}

// say returns the replies to a request: most often one answer.
func (a *answerer) say(id string) []string {
	answer := a.dialect.answer(id, a.service, "a", false)
	switch luck := rand.IntN(1000); {
	case luck < 5:
		return nil // it ends by its timeout
	case luck < 15:
		return []string{answer, answer}
	case luck < 25:
		forged := []byte(id)
		forged[0] ^= 1
		return []string{a.dialect.answer(string(forged), a.service, "a", false), answer}
	case luck < 75:
		return []string{a.dialect.answer(id, a.service, "a", true)}
	}
	return []string{answer}
}

// ending returns an error that is not merely the end of the connection.
func ending(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}
