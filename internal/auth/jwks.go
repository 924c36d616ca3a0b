package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/polywire/polywire/core/logging"
	"github.com/polywire/polywire/internal/httpclient"
)

const (
	// maxKeySet bounds the answer of a key server, in bytes.
	maxKeySet = 1 << 20
	// cooldown is how long after one request a key that is not in the set causes no other
	// request.
	cooldown = 10 * time.Second
	// The waits after failures, each twice the one before.
	firstRetry, lastRetry = time.Second, time.Minute
)

// keyServer is a key set behind a URL. It is fetched at once, then regularly in the
// background, and when a token names a key that is not in it, but not more often than every
// ten seconds. The last good set stays until there is a new one.
type keyServer struct {
	// Static after construction.
	url      string
	client   *http.Client
	timeout  time.Duration
	refresh  time.Duration
	cooldown time.Duration
	log      *slog.Logger
	ctx      context.Context // ends with close
	stop     context.CancelFunc

	background sync.WaitGroup
	flights    singleflight.Group

	// Guarded by mu.
	mu    sync.Mutex
	set   []key // nil before the first
	asked time.Time
	err   error // of the last fetch
}

func newKeyServer(url string, refresh, timeout time.Duration, log *slog.Logger) *keyServer {
	s := &keyServer{
		url: url, client: httpclient.NewDirect(timeout, 0, 1), timeout: timeout, refresh: refresh, cooldown: cooldown,
		log: log,
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// start fetches the set in the background until close. It is called once.
func (s *keyServer) start() { s.background.Go(s.run) }

func (s *keyServer) run() {
	retry := firstRetry
	for {
		wait := s.refresh
		// Tokens that come in the meantime wait for this fetch.
		if _, err, _ := s.flights.Do("", func() (any, error) { return nil, s.fetch() }); err == nil {
			retry = firstRetry
		} else {
			wait = min(retry, s.refresh)
			retry = min(2*retry, lastRetry)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// close ends what runs in the background.
func (s *keyServer) close() {
	s.stop()
	s.background.Wait()
	s.client.CloseIdleConnections()
}

// keys returns the keys that fit; if there is none, a new set may have it.
func (s *keyServer) keys(ctx context.Context, h jose.Header) ([]key, error) {
	if fit := s.fitting(h); len(fit) > 0 {
		return fit, nil
	}
	fetched := s.flights.DoChan("", func() (any, error) { return nil, s.fetchUnlessJustDone() })
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-fetched:
		return s.fitting(h), r.Err
	}
}

func (s *keyServer) fitting(h jose.Header) []key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fitting(s.set, h)
}

// fetchUnlessJustDone fetches the set, unless that was tried within the cooldown;
// then the result of that attempt counts.
func (s *keyServer) fetchUnlessJustDone() error {
	s.mu.Lock()
	asked, err := s.asked, s.err
	s.mu.Unlock()
	if time.Since(asked) < s.cooldown {
		return err
	}
	return s.fetch()
}

var errNotFetched = errors.New("the key set was not fetched yet")

// fetch replaces the set by what the server has now, if that is a set.
func (s *keyServer) fetch() error {
	s.mu.Lock()
	s.asked = time.Now()
	if s.set == nil && s.err == nil {
		s.err = errNotFetched
	}
	s.mu.Unlock()
	set, err := s.get()
	s.mu.Lock()
	before := s.err
	if s.err = err; err == nil {
		s.set = set
	}
	s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
	case err != nil:
		s.log.Warn("key set cannot be fetched; the last one stays", logging.Bounded("", ""), slog.Any("error", err))
	case before != nil:
		s.log.Info("key set fetched", logging.Bounded("", ""), slog.Int("keys", len(set)))
	}
	return err
}

func (s *keyServer) get() ([]key, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("making key set request: %w", httpclient.WithoutURL(err))
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetching key set: %w", httpclient.WithoutURL(err))
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching key set: status %d", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("reading key set: %w", err)
	}
	if len(data) > maxKeySet {
		return nil, errors.New("reading key set: it is over 1 MiB")
	}
	return keySet(data, s.log)
}
