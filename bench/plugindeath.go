package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// death is the measured effect of a kill -9 of a plugin.
type death struct {
	// noticed and back are the time until the broker knew, and until a frame sent behind the kill
	// had its answer.
	noticed, back time.Duration
	// beside is how many messages of another endpoint were delivered meanwhile, all of them and in
	// order.
	beside uint64
}

// deathSubscribers receive the messages of the other endpoint.
const deathSubscribers = 100

// pluginDeaths kills a plugin in each round.
func (b *bench) pluginDeaths(ctx context.Context, broker, program string) ([]death, error) {
	d := sized(vws)
	plugged := format{protocol: "echo", settings: fmt.Sprintf(", plugin: { command: [%q, echo] }", program)}
	beside := format{protocol: "vws", settings: ", options: { allow_send: true }"}
	c := contender{server{"broker of a killed plugin", serve(broker, "", plugged, beside)}, d, []dialect{d}}
	var deaths []death
	for range b.plan.rounds {
		one, err := b.pluginDeath(ctx, c)
		if err != nil {
			return nil, err
		}
		deaths = append(deaths, one)
	}
	return deaths, nil
}

func (b *bench) pluginDeath(ctx context.Context, c contender) (death, error) {
	p, addr, err := c.start(ctx, b.dir, b.core)
	if err != nil {
		return death{}, err
	}
	defer p.stop()
	plugins, err := p.children()
	if err != nil || len(plugins) != 1 {
		return death{}, fmt.Errorf("found %d plugins of the broker: %w", len(plugins), err)
	}
	echo, err := newEchoLoad(addr, "/echo", 1, false)
	if err != nil {
		return death{}, err
	}
	defer echo.close()
	l, err := newLoad(addr, c, deathSubscribers, false)
	if err != nil {
		return death{}, err
	}
	defer l.close()
	if _, err := echo.run(1, b.plan.warmUp); err != nil {
		return death{}, err
	}
	// The load itself detects lost, repeated and reordered messages.
	var counted tally
	ended := make(chan error, 1)
	go func() {
		var err error
		counted, err = l.run(16, b.plan.window)
		ended <- err
	}()
	if err := pause(ctx, b.plan.window/4); err != nil {
		return death{}, errors.Join(err, <-ended)
	}
	killed := time.Now()
	if err := syscall.Kill(plugins[0], syscall.SIGKILL); err != nil {
		return death{}, errors.Join(fmt.Errorf("killing the plugin: %w", err), <-ended)
	}
	_, err = echo.run(1, 0)
	back := time.Since(killed)
	if err := errors.Join(err, <-ended); err != nil {
		return death{}, err
	}
	noticed, err := noticedIn(filepath.Join(b.dir, c.logName()))
	return death{noticed.Sub(killed), back, counted.count}, err
}

// noticedIn returns when a broker's log says that a plugin has ended.
func noticedIn(file string) (time.Time, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the broker's log: %w", err)
	}
	record := regexp.MustCompile(`(?m)^time=(\S+) .*plugin ended`).FindSubmatch(text)
	if record == nil {
		return time.Time{}, fmt.Errorf("the log %s does not say that the plugin has ended", file)
	}
	return time.Parse(time.RFC3339Nano, string(record[1]))
}
