package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// The outstanding calls are spread over connections that stay below the broker's limits: 1024
// unanswered calls for a caller, 65536 for an answerer.
const (
	outstandingPerCaller   = 1000
	outstandingPerAnswerer = 50_000
)

// outstanding is a set of calls that nobody answers, from wubsub clients to wubsub clients. It
// needs nothing from the load during a measurement.
type outstanding struct {
	callers, answerers []*wire
}

// newOutstanding makes n calls, a multiple of outstandingPerCaller, and returns when they have been
// accepted and have reached clients that do not answer them.
func newOutstanding(addr netip.AddrPort, n int) (*outstanding, error) {
	o := new(outstanding)
	for made := 0; made < n; made += outstandingPerCaller {
		if err := o.add(addr, made); err != nil {
			o.close()
			return nil, fmt.Errorf("after %d outstanding calls: %w", made, err)
		}
	}
	return o, nil
}

// add makes the next calls; made is the number of those before.
func (o *outstanding) add(addr netip.AddrPort, made int) error {
	channel := "mute" + strconv.Itoa(made/outstandingPerAnswerer)
	if made%outstandingPerAnswerer == 0 {
		d := greeted{path: "/wubsub", hello: []string{wubsubRegister(channel, "m"), wubsubBarrier}, welcome: wubsubBarrierAnswer}
		w, err := d.open(addr, 0, 64<<10)
		if err != nil {
			return fmt.Errorf("opening answerer: %w", err)
		}
		o.answerers = append(o.answerers, w)
	}
	w, err := greeted{path: "/wubsub"}.open(addr, 0, 64<<10)
	if err != nil {
		return fmt.Errorf("opening caller: %w", err)
	}
	o.callers = append(o.callers, w)
	call := `{"type":"pie-do","channel":"` + channel + `","topic":"m","data":1}`
	frame := dialect{}.clientFrame(call)
	if err := writeAll(w.fd, slices.Repeat(frame, outstandingPerCaller)); err != nil {
		return fmt.Errorf("calling: %w", err)
	}
	of := `,"channel":"` + channel + `","topic":"m","reqid":"` + idMark + `","data":`
	if err := awaitMany(w, newPattern(`{"type":"pie-ack"`+of+`true}`), outstandingPerCaller); err != nil {
		return fmt.Errorf("reading acknowledgements: %w", err)
	}
	if err := awaitMany(o.answerers[len(o.answerers)-1], newPattern(`{"type":"pie-req"`+of+`1}`), outstandingPerCaller); err != nil {
		return fmt.Errorf("reading requests: %w", err)
	}
	return nil
}

// awaitMany waits for n messages of one pattern.
func awaitMany(w *wire, p pattern, n int) error {
	for range n {
		message, err := w.await()
		if err != nil {
			return err
		}
		var m marks
		if err := p.read(message, &m); err != nil {
			return err
		}
	}
	return nil
}

// check returns an error if a call is no longer outstanding: its caller would have received a
// message about it.
func (o *outstanding) check() error {
	for _, w := range o.callers {
		if err := w.read(); err != nil {
			return fmt.Errorf("checking outstanding calls: %w", err)
		}
		message, err := w.next()
		if err == nil && message != nil {
			err = fmt.Errorf("one has ended with %q", message)
		}
		if err != nil {
			return fmt.Errorf("checking outstanding calls: %w", err)
		}
	}
	return nil
}

func (o *outstanding) close() {
	for _, w := range slices.Concat(o.callers, o.answerers) {
		w.close()
	}
}
