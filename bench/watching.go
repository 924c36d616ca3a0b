package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// watchTarget is what a watcher works on.
type watchTarget struct {
	Admin, Clients netip.AddrPort
	Token          string
	// Backend is where the backend listens that does not answer.
	Backend netip.AddrPort
	// Idle is how many connections are held, and Lists how often in a second all are listed.
	Idle, Lists int
}

// watching is what a watcher does until ctx ends. It returns how much it has done.
type watching func(ctx context.Context) counts

// The watchers, by name. Each gets ready once, and then does its work again and again.
const (
	watchHold    = "hold"
	watchList    = "list"
	watchTap     = "tap"
	watchDeaf    = "deaf tap"
	watchStreams = "streams"
	watchStorm   = "storm"
	watchScrape  = "scrape"
	watchHang    = "hang"
	watchIntrude = "intrude"
	watchFlood   = "flood"
)

var watchings = map[string]func(watchTarget) (watching, error){
	watchHold:    hold,
	watchList:    list,
	watchTap:     func(t watchTarget) (watching, error) { return tapTopic(t, true), nil },
	watchDeaf:    func(t watchTarget) (watching, error) { return tapTopic(t, false), nil },
	watchStreams: openStreams,
	watchStorm:   storm,
	watchScrape:  scrape,
	watchHang:    hang,
	watchIntrude: intrude,
	watchFlood:   flood,
}

const (
	// stormRate is how many clients connect in a second, and leave at once.
	stormRate = 300
	// floodRate is how many messages in a second flood a topic.
	floodRate = 5000
	// streamRate is how many streams of events are asked for in a second.
	streamRate = 1000
	// intrudeRate is how many requests that are to be refused come in a second.
	intrudeRate = 500
	// scrapePause is the time from one scrape to the next one.
	scrapePause = 100 * time.Millisecond
)

// floodTopic is a topic that nobody hears but taps.
const floodTopic = "bench/flood"

// watchSlice is how long a watcher keeps its core at most when the load wakes up.
const watchSlice = 100 * time.Microsecond

// stepBack gives all threads of this process the lowest priority and short time slices; threads that start later inherit
// both. Kernels before 6.12 do not know the slices, and the load waits longer for its core.
func stepBack() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("listing own threads: %w", err)
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: 19, Runtime: uint64(watchSlice)}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return fmt.Errorf("listing own threads: %w", err)
		}
		if err := unix.SchedSetAttr(tid, &attr, 0); err != nil {
			return fmt.Errorf("lowering the priority: %w", err)
		}
	}
	return nil
}

// hold opens connections, which hear a topic that nobody publishes, and keeps them.
func hold(t watchTarget) (watching, error) {
	d := vwsOn("bench/idle", "")
	for i := range t.Idle {
		if _, err := dial(t.Clients, d.subPath, d.opening(d.subscribe, d.subscribed)); err != nil {
			return nil, fmt.Errorf("opening connection %d: %w", i, err)
		}
	}
	return func(ctx context.Context) counts { <-ctx.Done(); return nil }, nil
}

// asker asks the admin server.
type asker struct {
	target watchTarget
	client *http.Client
}

// newAsker returns one at an address of its own, or at any if from is not valid.
func newAsker(t watchTarget, from netip.Addr) asker {
	dialer := net.Dialer{Timeout: dialTimeout}
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return asker{t, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // the ports of many short connections are free again at once
			}
			return c, err
		},
		MaxIdleConnsPerHost: 8,
		DisableCompression:  true,
	}}}
}

// request makes a request with the token of the operator.
func (a asker) request(ctx context.Context, method, path string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+a.target.Admin.String()+path, nil)
	if err != nil {
		panic(fmt.Sprintf("making a request: %v", err)) // the paths are ours
	}
	r.Header.Set("Authorization", "Bearer "+a.target.Token)
	return r
}

// ask makes the request and reads the answer.
func (a asker) ask(r *http.Request) (status int, body []byte, err error) {
	answer, err := a.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// every calls f once in an interval until ctx ends; calls that take too long are not made up for.
func every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}

// list lists all connections, page after page, so often in a second, or without a pause if that takes longer.
func list(t watchTarget) (watching, error) {
	a := newAsker(t, netip.Addr{})
	return func(ctx context.Context) counts {
		did := make(counts)
		walk := func() {
			after := ""
			for {
				path := "/v1/connections?limit=1000"
				if after != "" {
					path += "&after=" + url.QueryEscape(after)
				}
				status, body, err := a.ask(a.request(ctx, http.MethodGet, path))
				if err != nil {
					return // the window is over
				}
				did.answered(status)
				if status != http.StatusOK {
					return
				}
				did["connections"] += float64(bytes.Count(body, []byte(`"id":`)))
				if after = nextOf(body); after == "" {
					did["whole lists"]++
					return
				}
			}
		}
		every(ctx, time.Second/time.Duration(t.Lists), walk)
		return did
	}, nil
}

// nextOf returns what the page after this one begins with; "" if it is the last one. It does not parse the page, because that
// takes long, on the core of the load.
func nextOf(page []byte) string {
	_, next, _ := bytes.Cut(page, []byte(`"next":"`))
	next, _, _ = bytes.Cut(next, []byte(`"`))
	return string(next)
}

// answered counts an answer by its status.
func (c counts) answered(status int) { c["answers "+strconv.Itoa(status)]++ }

// tapTopic taps the topic that is flooded, and reads what comes or nothing of it.
func tapTopic(t watchTarget, reads bool) watching {
	a := newAsker(t, netip.Addr{})
	return func(ctx context.Context) counts {
		did := make(counts)
		a.stream(ctx, did, "topic="+floodTopic, reads)
		return did
	}
}

// stream opens a stream of events, and holds it until ctx ends.
func (a asker) stream(ctx context.Context, did counts, on string, reads bool) {
	answer, err := a.client.Do(a.request(ctx, http.MethodGet, "/v1/tap?"+on))
	if err != nil {
		did["without an answer"]++
		return
	}
	defer answer.Body.Close()
	did.answered(answer.StatusCode)
	if answer.StatusCode != http.StatusOK {
		return
	}
	if !reads {
		<-ctx.Done()
		return
	}
	for lines := bufio.NewReaderSize(answer.Body, 64<<10); ; {
		line, err := lines.ReadSlice('\n')
		if err == nil && len(line) > 1 {
			did["events"]++
		} else if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// openStreams asks for streams of events, on a topic and on an endpoint by turns, and reads those that it gets.
func openStreams(t watchTarget) (watching, error) {
	a := newAsker(t, netip.Addr{})
	return func(ctx context.Context) counts {
		did := make(counts)
		var mu sync.Mutex
		var open sync.WaitGroup
		on := []string{"topic=" + topic, "endpoint=vws"}
		n := 0
		every(ctx, time.Second/streamRate, func() {
			n++
			open.Go(func() {
				own := make(counts)
				a.stream(ctx, own, on[n%2], true)
				mu.Lock()
				defer mu.Unlock()
				for what, n := range own {
					did[what] += n
				}
			})
		})
		open.Wait()
		return did
	}, nil
}

// storm connects clients, which leave with a reset as soon as they hear a topic.
func storm(t watchTarget) (watching, error) {
	d := vwsOn("bench/storm", "")
	return func(ctx context.Context) counts {
		did := make(counts)
		every(ctx, time.Second/stormRate, func() {
			fd, err := dial(t.Clients, d.subPath, d.opening(d.subscribe, d.subscribed))
			if err != nil {
				did["refused clients"]++
				return
			}
			did["clients"]++
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			_ = unix.Close(fd)
		})
		return did
	}, nil
}

// scrape reads the metrics.
func scrape(t watchTarget) (watching, error) {
	a := newAsker(t, netip.Addr{})
	return func(ctx context.Context) counts {
		did := make(counts)
		every(ctx, scrapePause, func() {
			status, body, err := a.ask(a.request(ctx, http.MethodGet, "/metrics"))
			if err == nil {
				did.answered(status)
				did["bytes"] += float64(len(body))
			}
		})
		return did
	}, nil
}

// hang takes the connections of the broker's events and never answers.
func hang(t watchTarget) (watching, error) {
	listener, err := net.Listen("tcp", t.Backend.String())
	if err != nil {
		return nil, fmt.Errorf("listening for events: %w", err)
	}
	taken := make(chan struct{}, 1<<16)
	go func() {
		for {
			if _, err := listener.Accept(); err != nil { // it is never read, nor closed
				return
			}
			select {
			case taken <- struct{}{}:
			default:
			}
		}
	}()
	return func(ctx context.Context) counts {
		<-ctx.Done()
		n := len(taken)
		for range n {
			<-taken
		}
		return counts{"hanging requests": float64(n)}
	}, nil
}

// intrude asks what is to be refused: without a credential, with a wrong one, as a page of another site, and with the name
// of another host.
func intrude(t watchTarget) (watching, error) {
	// The operator's own address must not be one that guesses.
	a := newAsker(t, netip.MustParseAddr("127.0.0.9"))
	kinds := []func(*http.Request){
		func(r *http.Request) { r.Header.Del("Authorization") },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer guess") },
		func(r *http.Request) {
			r.Header.Set("Origin", "https://elsewhere.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		},
		func(r *http.Request) { r.Host = "elsewhere.example" },
	}
	return func(ctx context.Context) counts {
		did := make(counts)
		n := 0
		every(ctx, time.Second/intrudeRate, func() {
			r := a.request(ctx, http.MethodPost, "/v1/publish?endpoint=vws&topic="+topic)
			kinds[n%len(kinds)](r)
			n++
			if status, _, err := a.ask(r); err == nil {
				did.answered(status)
			}
		})
		return did
	}, nil
}

// flood publishes on a topic.
func flood(t watchTarget) (watching, error) {
	const burst = 10
	d := vwsOn(floodTopic, strings.Repeat("x", 200))
	fd, err := dial(t.Clients, d.pubPath, opening{})
	if err != nil {
		return nil, err
	}
	messages := []byte(strings.Repeat(string(d.clientFrame(d.publish)), burst))
	return func(ctx context.Context) counts {
		did := make(counts)
		every(ctx, burst*time.Second/floodRate, func() {
			if writeAll(fd, messages) == nil {
				did["messages"] += burst
			}
		})
		return did
	}, nil
}
