package matrix

import (
	"reflect"
	"slices"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
)

// Endpoint is an endpoint as the matrix regards it.
type Endpoint struct {
	Name, Protocol string
	Format         core.Format
	// Options are those of the format; endpoints of one format and equal options are one row.
	Options any
	// MaxMessage is the biggest message of a client, in bytes.
	MaxMessage int
}

// Matrix is what the formats of some endpoints can carry. The JSON names are stable: programs read them.
type Matrix struct {
	Formats []Format `json:"formats"`
	// Pairs has one pair for each two formats in both directions, and each with itself.
	Pairs []Pair `json:"pairs"`
}

// Format is what the clients of a format have words for, whoever they speak with.
type Format struct {
	// Name is the protocol, or if several endpoints of it differ, also the endpoint: "vws (web)".
	Name      string   `json:"name"`
	Protocol  string   `json:"protocol"`
	Endpoints []string `json:"endpoints"`
	// Known reports whether the client's side of the format is known here. If not, all cells are
	// Unknown but what the format declares.
	Known bool   `json:"known"`
	Cells []Cell `json:"cells"`
}

// Pair is what becomes of what a client of From sends to one of To. From publishes, and To is subscribed;
// From calls, and To answers: so answers and failures go from To to From.
type Pair struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Cells []Cell `json:"cells"`
}

// Cell is what becomes of one thing.
type Cell struct {
	// Property is one of [FormatProperties] or [PairProperties].
	Property string  `json:"property"`
	Outcome  Outcome `json:"outcome"`
	// Detail says it more exactly, for people.
	Detail string `json:"detail,omitempty"`
	// Limit, of sizes, is the biggest content in bytes that passes.
	Limit int `json:"limit,omitempty"`
}

// Outcome is what becomes of what is sent.
type Outcome string

// The outcomes. Those of a Format are Yes, No and Unknown, those of a Pair all others and Unknown.
const (
	Yes Outcome = "yes"
	No  Outcome = "no"
	// Whole: it arrives as it was sent.
	Whole Outcome = "whole"
	// Changed: it arrives in another form, which Detail describes.
	Changed Outcome = "changed"
	// Lost: the message arrives without it.
	Lost Outcome = "lost"
	// Refused: it does not arrive, and the sender is told.
	Refused Outcome = "refused"
	// Dropped: it does not arrive, and the sender is not told. The broker counts it.
	Dropped Outcome = "dropped"
	// Unsayable: the sender's format has no words for it.
	Unsayable Outcome = "unsayable"
	// Unknown: the format does not say.
	Unknown Outcome = "unknown"
)

// Of returns the matrix of endpoints, in their order. What it costs grows with the square of the number of
// formats, and with the biggest message; it takes seconds at most.
func Of(endpoints []Endpoint) Matrix {
	rows := rowsOf(endpoints)
	var m Matrix
	for _, r := range rows {
		m.Formats = append(m.Formats, r.format())
	}
	sizes := newSizes(rows)
	for _, from := range rows {
		for _, to := range rows {
			m.Pairs = append(m.Pairs, Pair{from.name, to.name, pairOf(from, to, sizes)})
		}
	}
	return m
}

// FormatOf returns what clients of e have words for.
func FormatOf(e Endpoint) Format { return rowsOf([]Endpoint{e})[0].format() }

// Get returns the cell of a property.
func (f Format) Get(property string) Cell {
	for _, c := range f.Cells {
		if c.Property == property {
			return c
		}
	}
	return Cell{Property: property, Outcome: Unknown}
}

// row is one format.
type row struct {
	Endpoint
	name      string
	endpoints []string
	client    core.ClientFormat // nil if it is not known
}

// rowsOf puts endpoints together that carry the same.
func rowsOf(endpoints []Endpoint) (rows []*row) {
	same := make(map[string]int)
	for _, e := range endpoints {
		i := slices.IndexFunc(rows, func(r *row) bool {
			return r.Protocol == e.Protocol && r.MaxMessage == e.MaxMessage && reflect.DeepEqual(r.Options, e.Options) && builtin(r.Format) == builtin(e.Format)
		})
		if i >= 0 {
			rows[i].endpoints = append(rows[i].endpoints, e.Name)
			continue
		}
		r := &row{Endpoint: e, name: e.Protocol, endpoints: []string{e.Name}}
		if builtin(e.Format) {
			r.client, _ = e.Format.(core.ClientFormat)
		}
		rows = append(rows, r)
		same[e.Protocol]++
	}
	for _, r := range rows {
		if same[r.Protocol] > 1 {
			r.name += " (" + r.endpoints[0] + ")"
		}
	}
	return rows
}

func (r *row) format() Format {
	return Format{Name: r.name, Protocol: r.Protocol, Endpoints: r.endpoints, Known: r.client != nil, Cells: r.facts()}
}

// builtin reports whether a format translates here, so that it can be asked.
func builtin(f core.Format) bool {
	_, remote := f.(core.RemoteFormat)
	return !remote
}

// pairOf returns the cells of a pair, in the order of [PairProperties].
func pairOf(from, to *row, s *sizes) []Cell {
	if from.client == nil || to.client == nil {
		cells := make([]Cell, 0, len(PairProperties()))
		for _, property := range PairProperties() {
			cells = append(cells, Cell{Property: property, Outcome: Unknown})
		}
		return cells
	}
	cells := messages(from, to)
	cells = append(cells, s.message(from, to))
	cells = append(cells, requests(from, to)...)
	cells = append(cells, s.request(from, to))
	cells = append(cells, answers(from, to)...)
	cells = append(cells, s.answer(from, to))
	return append(cells, failures(from, to)...)
}

// OfConfigured returns the matrix of endpoints as a configuration has them.
func OfConfigured(configured []config.Endpoint) Matrix {
	endpoints := make([]Endpoint, 0, len(configured))
	for i := range configured {
		ep := &configured[i]
		endpoints = append(endpoints, Endpoint{
			Name: ep.Name, Protocol: ep.Protocol, Format: ep.Format, Options: ep.Options, MaxMessage: int(ep.MaxMessageSize),
		})
	}
	return Of(endpoints)
}
