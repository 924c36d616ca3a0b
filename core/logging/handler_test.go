package logging_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/polywire/polywire/core/logging"
)

// record is a log whose lines have no time.
type record struct {
	*slog.Logger
	handler *logging.Handler
	buf     *buffer
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	// Guarded by mu.
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// take returns what is written, and clears it.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.b.Reset()
	return b.b.String()
}

func newRecord(level slog.Level) record {
	buf := new(buffer)
	h := logging.New(slog.NewTextHandler(buf, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return record{slog.New(h), h, buf}
}

// expect compares the log with want once the queue is empty, and clears it. It is called in
// a synctest bubble.
func (r record) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	got := r.buf.take()
	if w := strings.Join(append(want, ""), "\n"); got != w {
		t.Errorf("got\n%swant\n%s", got, w)
	}
}

func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newRecord(slog.LevelInfo)
		slow := func(conn int) {
			log.Warn("too slow", logging.Bounded("web", "slow"), slog.Int("conn", conn))
		}
		for n := range 600 {
			slow(n)
		}
		log.expect(t, `level=WARN msg="too slow" endpoint=web reason=slow conn=0`)
		time.Sleep(59 * time.Second)
		log.Info("something else")
		log.Info("something else")
		log.expect(t, `level=INFO msg="something else"`, `level=INFO msg="something else"`)
		time.Sleep(time.Second)
		log.expect(t, `level=WARN msg="too slow" endpoint=web reason=slow conn=599 left_out=598`)
		slow(600)
		time.Sleep(time.Minute)
		log.expect(t, `level=WARN msg="too slow" endpoint=web reason=slow conn=600`)
		// After a minute without any the next is a first again.
		time.Sleep(time.Minute)
		slow(601)
		log.expect(t, `level=WARN msg="too slow" endpoint=web reason=slow conn=601`)
		slow(602)
		slow(603)
		log.handler.Flush(time.Second)
		log.expect(t, `level=WARN msg="too slow" endpoint=web reason=slow conn=603 left_out=1`)
		time.Sleep(time.Hour)
		log.expect(t)
	})
}

func TestBoundedTellsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newRecord(slog.LevelInfo)
		for range 3 {
			log.Info("refused", logging.Bounded("web", "origin"))
			log.Info("refused", logging.Bounded("web", "rate"))
			log.Info("refused", logging.Bounded("app", "rate"))
			log.Info("denied", logging.Bounded("app", "rate"))
			log.With("service", "a").Info("failed", logging.Bounded("", "timeout"))
			log.With("service", "b").Info("failed", logging.Bounded("", "timeout"))
		}
		log.expect(t,
			`level=INFO msg=refused endpoint=web reason=origin`,
			`level=INFO msg=refused endpoint=web reason=rate`,
			`level=INFO msg=refused endpoint=app reason=rate`,
			`level=INFO msg=denied endpoint=app reason=rate`,
			`level=INFO msg=failed service=a reason=timeout`,
			`level=INFO msg=failed service=b reason=timeout`,
		)
		log.handler.Flush(time.Second)
	})
}

// Values that clients choose have 16 lines of their own, and all others share one.
func TestBoundedEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newRecord(slog.LevelInfo)
		var want []string
		for n := range 100 {
			for range 2 {
				log.Info("refused", logging.Bounded("web", "origin", slog.Int("origin", n)))
			}
			if n <= 16 {
				want = append(want, fmt.Sprintf("level=INFO msg=refused endpoint=web reason=origin origin=%d", n))
			}
		}
		log.expect(t, want...)
		time.Sleep(time.Minute)
		synctest.Wait()
		got := log.buf.take()
		if others := "origin=99 left_out=166"; strings.Count(got, "\n") != 17 || !strings.Contains(got, others) {
			t.Errorf("want 17 lines and %s, got\n%s", others, got)
		}
		time.Sleep(time.Minute)
		log.handler.Flush(time.Second)
	})
}

func TestBoundedAtDebug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newRecord(slog.LevelDebug)
		for n := range 3 {
			log.Info("refused", logging.Bounded("web", "rate"), slog.Int("n", n))
		}
		log.expect(t,
			`level=INFO msg=refused endpoint=web reason=rate n=0`,
			`level=DEBUG msg=refused endpoint=web reason=rate n=1`,
			`level=DEBUG msg=refused endpoint=web reason=rate n=2`,
		)
		log.handler.Flush(time.Second)
	})
}

// stuck is a writer that blocks until it is told to go on.
type stuck struct {
	io.Writer
	goOn chan struct{}
}

func (s stuck) Write(b []byte) (int, error) {
	<-s.goOn
	return s.Writer.Write(b)
}

// Logging does not wait for the writer. The order is kept, and where lines are missing
// there is one that says so.
func TestNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		w := stuck{&buf, make(chan struct{})}
		h := logging.New(slog.NewTextHandler(w, nil))
		log := slog.New(h)
		const lines = 10_000
		for n := range lines {
			log.Info("line", slog.Int("n", n))
		}
		start := time.Now()
		h.Flush(time.Second)
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("want Flush to give up after a second, it took %s", waited)
		}
		dropped := h.Dropped()
		if dropped == 0 || dropped >= lines {
			t.Errorf("want some of %d dropped, got %d", lines, dropped)
		}
		close(w.goOn)
		log.With("more", true).Info("line", "n", lines)
		h.Flush(time.Minute)
		got := strings.Split(strings.TrimSpace(buf.String()), "\n")
		taken := lines - int(dropped)
		for n, line := range got[:taken] {
			if want := fmt.Sprintf("msg=line n=%d", n); !strings.HasSuffix(line, want) {
				t.Fatalf("want %s, got %s", want, line)
			}
		}
		// Whether the last one found room is chance.
		var rest []string
		for _, line := range got[taken:] {
			rest = append(rest, line[strings.Index(line, "msg="):])
		}
		missing := `msg="lines are missing in the log: it is written too slowly" lines=`
		room := []string{fmt.Sprintf("%s%d", missing, dropped), fmt.Sprintf("msg=line more=true n=%d", lines)}
		full := []string{fmt.Sprintf("%s%d", missing, dropped+1)}
		if r := strings.Join(rest, "; "); r != strings.Join(room, "; ") && r != strings.Join(full, "; ") {
			t.Errorf("after the gap: %s", r)
		}
	})
}

// faulty is a handler that fails, or panics.
type faulty struct {
	slog.Handler
	err error
}

func (f faulty) Handle(context.Context, slog.Record) error {
	if f.err == nil {
		panic("no log today")
	}
	return f.err
}

func TestFaultyHandler(t *testing.T) {
	for _, err := range []error{nil, errors.New("disk full")} {
		h := logging.New(faulty{slog.NewTextHandler(t.Output(), nil), err})
		slog.New(h).Info("line")
		h.Flush(time.Minute)
		if h.Dropped() != 1 {
			t.Errorf("with %v: want 1 dropped, got %d", err, h.Dropped())
		}
	}
}

// For another handler, a bounded line is like any other.
func TestBoundedAlone(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(slog.NewTextHandler(&buf, nil))
	log.Info("refused", logging.Bounded("web", "origin", slog.String("origin", "x")), slog.String("remote", "y"))
	log.Info("refused", logging.Bounded("", ""), slog.String("remote", "y"))
	for _, want := range []string{"msg=refused endpoint=web reason=origin origin=x remote=y\n", "msg=refused remote=y\n"} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("want %q, got %s", want, &buf)
		}
	}
}
