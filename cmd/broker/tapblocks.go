package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// tapBlocks prints the events of a tap on topics: a block for each message.
type tapBlocks struct {
	begun  bool
	number uint64    // of the message of the block
	since  time.Time // when it came
	said   bool      // its publisher's own words have been printed
}

// Columns of a block: what it is, and below it the content.
const (
	blockLine    = "  %-4s %s\n"
	blockContent = "       %s\n"
)

func (b *tapBlocks) print(out io.Writer, ev core.TapEvent) error {
	m := ev.Message
	if m == nil {
		_, err := fmt.Fprintf(out, "%s %s\n", ev.Time.Local().Format(time.TimeOnly+".000"), tapText(ev))
		return err
	}
	var text strings.Builder
	if !b.begun || b.number != m.Number {
		if b.begun {
			text.WriteString("\n")
		}
		*b = tapBlocks{begun: true, number: m.Number, since: ev.Time}
		fmt.Fprintf(&text, "%s  %s  #%d\n", ev.Time.Local().Format(time.TimeOnly+".000"), plain(m.Topic), m.Number)
	}
	late := "+" + ev.Time.Sub(b.since).Round(time.Microsecond).String()
	switch {
	case ev.Kind == core.TapPublished:
		if !b.said {
			fmt.Fprintf(&text, blockLine, "in", publisher(ev))
		}
		what := fmt.Sprintf("%s, %d bytes", m.Payload, ev.Size)
		if len(m.Headers) > 0 {
			what += ", headers " + plain(string(m.Headers))
		}
		if m.User != "" {
			what += ", from " + plain(m.User)
		}
		fmt.Fprintf(&text, blockLine, "is", what)
		if ev.Size > 0 {
			fmt.Fprintf(&text, blockContent, tapData(ev))
		}
		if m.Encodings == 0 {
			fmt.Fprintf(&text, blockLine, "out", "nobody hears it here")
		}
	case !ev.FromServer:
		b.said = true
		fmt.Fprintf(&text, blockLine, "in", fmt.Sprintf("%s (%s), connection %d, %s of %d bytes", m.Endpoint, m.Protocol, ev.Connection, ev.Kind, ev.Size))
		fmt.Fprintf(&text, blockContent, tapData(ev))
	case ev.Kind == core.TapPassedOn:
		fmt.Fprintf(&text, blockLine, "out", fmt.Sprintf("%s (%s), a bridge, %s", m.Endpoint, m.Protocol, late))
	case ev.Kind == core.TapUnwritable:
		fmt.Fprintf(&text, blockLine, "out", fmt.Sprintf("%s, %s, cannot be written", receivers(m), late))
		fmt.Fprintf(&text, blockContent, plain(string(ev.Data)))
	default:
		fmt.Fprintf(&text, blockLine, "out", fmt.Sprintf("%s, %s, %s of %d bytes", receivers(m), late, ev.Kind, ev.Size))
		fmt.Fprintf(&text, blockContent, tapData(ev))
		for _, change := range m.Changes {
			fmt.Fprintf(&text, blockContent, "! "+plain(change))
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func receivers(m *core.TapMessage) string {
	n := "1 connection"
	if m.Receivers != 1 {
		n = fmt.Sprintf("%d connections", m.Receivers)
	}
	return fmt.Sprintf("%s (%s), %s", m.Endpoint, m.Protocol, n)
}

// publisher says who has published a message whose publisher's own words are not known.
func publisher(ev core.TapEvent) string {
	m := ev.Message
	switch m.From {
	case core.FromRequest:
		return fmt.Sprintf("%s (%s), an HTTP request", m.Endpoint, m.Protocol)
	case core.FromProgram:
		return fmt.Sprintf("%s, the broker's program or an operator", m.Endpoint)
	case core.FromBridge:
		return fmt.Sprintf("%s (%s), a bridge", m.Endpoint, m.Protocol)
	case core.FromNode:
		return "another node of the cluster"
	}
	return fmt.Sprintf("%s (%s), connection %d; what it has said was not kept", m.Endpoint, m.Protocol, ev.Connection)
}
