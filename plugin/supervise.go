package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/plugin/contract"
)

const (
	// look is how often a process is checked.
	look = 100 * time.Millisecond
	// idle is how long nothing is asked before a sign of life is requested.
	idle = time.Second
	// A process that dies young is not started again at once, but after a pause that
	// doubles from firstPause to longestPause each time.
	young                    = 5 * time.Second
	firstPause, longestPause = 50 * time.Millisecond, 5 * time.Second
)

// onThread runs f on a new thread that ends with it. A process that f starts does not
// outlive it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// supervise keeps a process running until ctx ends. It tells started whether the first one
// started. It is called on a thread of its own.
func (s *shard) supervise(ctx context.Context, started chan<- error) {
	log, process := s.format.log, slog.Int("process", s.index)
	lose := time.AfterFunc(s.format.options.Grace, s.giveUp)
	lose.Stop()
	defer s.giveUp()
	defer lose.Stop()
	pause := time.Duration(0)
	for {
		born, lived := time.Now(), false
		live := func(pid int) {
			lived = true
			lose.Stop()
			s.takeUp()
			log.Info("plugin runs", logging.Bounded("", "", process), slog.Int("pid", pid))
			if started != nil {
				started <- nil
				started = nil
			}
		}
		err := s.run(ctx, live)
		if ctx.Err() != nil && started == nil {
			return
		}
		if started != nil {
			started <- err
			return
		}
		s.format.endpoint.Stats.Restarts.Add(1)
		if lived {
			lose.Reset(s.format.options.Grace)
		}
		if time.Since(born) > young {
			pause = 0
		}
		log.Error("plugin ended; starting it again", logging.Bounded("", "", process, slog.String("error", err.Error())), slog.Duration("pause", pause))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(max(2*pause, firstPause), longestPause)
	}
}

// run runs one process until it ends, and returns why. live is called when it serves.
func (s *shard) run(ctx context.Context, live func(pid int)) error {
	f := s.format
	p, err := start(f.options, f.log)
	if err != nil {
		return err
	}
	defer p.end()
	d, err := p.describe(f.options, proto.CloneOf(f.request))
	if err == nil {
		err = problemsOf(d)
	}
	if err != nil {
		return err
	}
	if d.GetStateful() != f.stateful || !reflect.DeepEqual(profileOf(d.GetProfile()), f.profile) {
		f.log.Warn("plugin describes itself otherwise than when the broker started; that counts from the broker's next start on", logging.Bounded("", ""))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.translate(ctx)
	if err != nil {
		return fmt.Errorf("opening the stream: %w", err)
	}
	s.forgive()
	s.begin(p, stream)
	defer s.end()
	live(p.pid)
	ended := make(chan error, 2)
	var work sync.WaitGroup
	work.Go(func() { ended <- s.write(ctx, stream) })
	work.Go(func() { ended <- s.read(stream) })
	err = s.watch(ctx, ended)
	// Kill first: a process that hangs must be gone before its stream is waited for.
	p.kill()
	cancel()
	work.Wait()
	return err
}

// watch waits until a process must end: its stream has ended, an answer is overdue or
// wrong, or ctx has ended.
func (s *shard) watch(ctx context.Context, ended <-chan error) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	limit := s.format.options.AnswerTimeout
	for {
		select {
		case err := <-ended:
			return err
		case err := <-s.faults:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case now := <-ticker.C:
			overdue, quiet := s.overdue(now, limit)
			if overdue {
				return fmt.Errorf("it gave no answer within %s", limit)
			}
			if quiet > idle {
				s.sign()
			}
		}
	}
}

// write sends batches as long as the stream takes them.
func (s *shard) write(ctx context.Context, to stream) error {
	for {
		sent, err := s.sendNext(to)
		if err != nil {
			return fmt.Errorf("its stream: %w", err)
		}
		if sent {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		}
	}
}

// sendNext sends the next batch, if there is one.
func (s *shard) sendNext(to stream) (sent bool, err error) {
	s.sending.Lock()
	defer s.sending.Unlock()
	b := s.next()
	if b == nil {
		return false, nil
	}
	return true, to.SendMsg(&contract.Packet{Bytes: b.bytes})
}

var errUnasked = errors.New("it answers although nothing was asked")

// read hands out answers until the stream ends. A batch has no effect unless it is
// answered as a whole.
func (s *shard) read(from stream) error {
	for {
		var in contract.Packet
		if err := from.RecvMsg(&in); err != nil {
			return fmt.Errorf("its stream: %w", err)
		}
		b := s.first()
		if b == nil {
			return errUnasked
		}
		answers, err := cut(in.Bytes, b.answers[:0], len(b.questions))
		if err != nil {
			return err
		}
		b.packet, b.answers = in, answers
		s.settle()
		s.handOutAll(b)
	}
}

// cut appends the n answers of an Answers message to dst.
func cut(message []byte, dst [][]byte, n int) ([][]byte, error) {
	answers := slices.Grow(dst, n+1)
	elements := contract.ElementsOf(message)
	for elements.Next() && len(answers) <= n {
		answers = append(answers, elements.Bytes())
	}
	if err := elements.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNonsense, err)
	}
	if len(answers) != n {
		return nil, fmt.Errorf("%w: %d questions, but %d answers", errNonsense, n, len(answers))
	}
	return answers, nil
}

// handOutAll hands out the answers to b so that each loop gets its own together. b is
// reused when all are done with it.
func (s *shard) handOutAll(b *batch) {
	b.holders.Store(1)
	if len(b.questions) > 0 {
		s.format.endpoint.Stats.Plugin.OK.Observe(time.Since(b.sent))
	}
	switch n := len(b.questions); n {
	case 0: // a sign of life
	case 1:
		s.handOut(b, 0, 1)
	default:
		s.format.host.Together(func() {
			for from, to := 0, 1; from < n; from, to = to, to+1 {
				for c := b.questions[from].codec; c != nil && to < n && b.questions[to].codec == c; {
					to++
				}
				s.handOut(b, from, to)
			}
		})
	}
	s.release(b)
}

// handOut hands out the answers to a message for many, or to questions about one
// connection.
func (s *shard) handOut(b *batch, from, to int) {
	questions, answers := b.questions[from:to], b.answers[from:to]
	for _, q := range questions {
		s.left(q)
	}
	if c := questions[0].codec; c != nil {
		b.holders.Add(1)
		c.conn.Post(func() {
			for i, q := range questions {
				c.answered(q, answers[i])
			}
			s.release(b)
		})
		return
	}
	done := questions[0].done
	out, err := contract.ReadAnswer(answers[0], nil)
	switch {
	case err != nil:
		s.complain(fmt.Errorf("%w: %w", errNonsense, err))
		done(core.Frame{}, lossOf(core.ReasonRestart))
	case out.Frame.Kind == core.TextFrame && !utf8.Valid(out.Frame.Data):
		done(core.Frame{}, errNotUTF8)
	default:
		done(out.Frame, out.Err)
	}
}
