package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/matrix"
)

// checkedBridge is a bridge as `broker check --json` prints it. Its lists are never nil.
type checkedBridge struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	// URL is without passwords and queries.
	URL       string   `json:"url"`
	Hear      []string `json:"hear"`
	Tell      []string `json:"tell"`
	CallsTo   []string `json:"calls_to"`
	CallsFrom []string `json:"calls_from"`
	Owns      []string `json:"owns"`
	// Notes are what the bridge cannot do although nothing is wrong with the file.
	Notes []string `json:"notes"`
}

// checkBridges describes the bridges.
func checkBridges(cfg *config.Config) []checkedBridge {
	all := make([]checkedBridge, 0, len(cfg.Bridges))
	for i := range cfg.Bridges {
		b := &cfg.Bridges[i]
		notes := append(notesOf(b), twice(b, cfg.Bridges[:i])...)
		if cfg.Cluster.On() {
			notes = append(notes, "one node of the cluster runs it, and the others stand by")
		}
		all = append(all, checkedBridge{
			Name: b.Name, Protocol: b.Protocol, URL: client.SafeURL(b.URL),
			Hear: list(b.Hear), Tell: list(b.Tell), CallsTo: list(b.Calls.To), CallsFrom: list(b.Calls.From), Owns: list(b.Owns),
			Notes: notes,
		})
	}
	return all
}

// list returns names as a list that is not nil.
func list(names []string) []string { return append([]string{}, names...) }

// notesOf returns what the format of the old server makes of what the bridge is to do.
func notesOf(b *config.Bridge) []string {
	notes := []string{}
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	format := matrix.FormatOf(matrix.Endpoint{Name: b.Name, Protocol: b.Protocol, Format: b.Format, MaxMessage: b.Format.Profile().MaxMessage})
	publish := format.Get("publish")
	if publish.Outcome == matrix.No && len(b.Tell) > 0 {
		note("tell: by default a server of %s refuses messages: %s", b.Protocol, publish.Detail)
	}
	for _, topic := range b.Tell {
		if publish.Detail == matrix.AsOwner && !owned(topic, b.Owns) {
			note("tell %s: in %s only the owner of a channel publishes; without owns, messages are refused", topic, b.Protocol)
		}
		if publish.Detail == matrix.AsOwner && owned(topic, b.Owns) && core.HasWildcard(topic) {
			note("tell %s: an original of %s ends when the owner of a channel has not declared a topic that has subscribers; a bridge declares those that are named", topic, b.Protocol)
		}
		for _, heard := range b.Hear {
			if format.Get("hears_itself").Outcome == matrix.Yes && core.PatternsOverlap(topic, heard) {
				note("tell %s and hear %s: a message there that equals one just told is taken for that one", topic, heard)
			}
		}
	}
	if n := len(b.Hear); n > 1 && format.Get("sees_topics").Outcome == matrix.No {
		note("hear: a server of %s does not say the topic of a message: the bridge makes %d connections", b.Protocol, n)
	}
	return notes
}

// twice returns what an earlier bridge hears at the same server.
func twice(b *config.Bridge, earlier []config.Bridge) (notes []string) {
	for i := range earlier {
		other := &earlier[i]
		if other.URL != b.URL {
			continue
		}
		for _, topic := range b.Hear {
			for _, heard := range other.Hear {
				if core.PatternsOverlap(topic, heard) {
					notes = append(notes, fmt.Sprintf("hear %s: the bridge %s hears %s at the same server; messages are published twice", topic, other.Name, heard))
				}
			}
		}
	}
	return notes
}

// owned reports whether all topics of a pattern lie in one of the channels.
func owned(pattern string, channels []string) bool {
	for _, channel := range channels {
		if rest, ok := strings.CutPrefix(pattern, channel); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// printBridges writes a table of the bridges and their notes; nothing if there are none.
func printBridges(w io.Writer, cfg *config.Config) error {
	if len(cfg.Bridges) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nBRIDGE\tPROTOCOL\tURL\tWHAT")
	all := checkBridges(cfg)
	for _, b := range all {
		first := fmt.Sprintf("%s\t%s\t%s", b.Name, b.Protocol, b.URL)
		for _, line := range []struct {
			word  string
			names []string
		}{{"hear", b.Hear}, {"tell", b.Tell}, {"calls to", b.CallsTo}, {"calls from", b.CallsFrom}, {"owns", b.Owns}} {
			for rest := line.names; len(rest) > 0; {
				// Long lists go on in the next line.
				n, width := 1, len(rest[0])
				for n < len(rest) && width+2+len(rest[n]) <= maxNames {
					width += 2 + len(rest[n])
					n++
				}
				fmt.Fprintf(t, "%s\t%s: %s\n", first, line.word, strings.Join(rest[:n], ", "))
				first, rest = "\t\t", rest[n:]
			}
		}
	}
	if err := flush(t); err != nil {
		return err
	}
	for _, b := range all {
		for _, text := range b.Notes {
			if _, err := fmt.Fprintf(w, "note: bridge %s: %s\n", b.Name, text); err != nil {
				return fmt.Errorf("writing the notes: %w", err)
			}
		}
	}
	return nil
}

// maxNames is how many characters of topics are printed in a line, if it is more than one topic.
const maxNames = 50
