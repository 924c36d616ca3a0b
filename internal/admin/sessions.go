package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/polywire/polywire/core"
)

// Sessions are those that have connections here. Any goroutine but those of the event loops.
type Sessions interface {
	// ListSessions calls visit with each of them, on the calling goroutine.
	ListSessions(ctx context.Context, visit func(core.SessionInfo)) error
}

// sessions serves /v1/sessions.
type sessions struct {
	all   Sessions
	close func(ctx context.Context, key string) error
	api   api
	lists *lists
	kind  kind[Session]
}

func newSessions(src Source, a api, l *lists) *sessions {
	s := &sessions{all: src.Tables, close: src.CloseSession, api: a, lists: l}
	s.kind = kind[Session]{name: "sessions", collect: s.collect}
	s.kind.serve(l)
	l.local[showSession], l.local[endSession] = s.showHere, s.endHere
	return s
}

// What other nodes may ask about one session.
const showSession, endSession = "session", "end session"

func (s *sessions) serve(mux *http.ServeMux) {
	const look, end = "look at sessions", "close sessions"
	s.api.handle(mux, "GET /v1/sessions", Read, look, []string{"endpoint", "limit", "after"}, s.list)
	s.api.handle(mux, "GET /v1/sessions/{id}", Read, look, nil, s.show)
	s.api.handle(mux, "DELETE /v1/sessions/{id}", Operate, end, nil, s.end)
}

// Session is a session that has connections at a node, in the answers of /v1.
type Session struct {
	// ID stands for its key, which nobody may see who has not got it: it is the beginning of the key's SHA-256, in hex.
	ID string `json:"id"`
	// Node is the node of the connections; empty if there is no cluster.
	Node     string `json:"node,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	// Created and LastLookup are as the store has them; nil while the first connection is about to join.
	Created    *time.Time `json:"created,omitempty"`
	LastLookup *time.Time `json:"last_lookup,omitempty"`
	// Connections are those that have it or are about to join it, core.MaxAnswerers at most, and Places is how many there
	// are.
	Connections []uint64 `json:"connections"`
	Places      int      `json:"places"`
	// Ending says that it is being deleted.
	Ending bool `json:"ending,omitempty"`
}

// SessionList is the answer to GET /v1/sessions.
type SessionList struct {
	Sessions []Session `json:"sessions"`
	List
}

// sessionID returns the id of a session.
func sessionID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:12])
}

func (s *sessions) list(r *http.Request, q url.Values) (any, error) {
	all, list, err := s.kind.everywhere(r.Context(), s.lists, q)
	if err != nil {
		return nil, err
	}
	return SessionList{all, list}, nil
}

// collect adds the sessions of this node that a query asks for.
func (s *sessions) collect(ctx context.Context, q url.Values, add func(place, Session)) error {
	endpoint, node := q.Get("endpoint"), s.lists.self()
	return s.all.ListSessions(ctx, func(one core.SessionInfo) {
		if endpoint == "" || one.Endpoint == endpoint {
			id := sessionID(one.Key)
			add(placeOfName(id, node), sessionOf(one, id, node))
		}
	})
}

func sessionOf(s core.SessionInfo, id, node string) Session {
	return Session{
		ID: id, Node: node, Endpoint: s.Endpoint, Created: known(s.Created), LastLookup: known(s.LastLookup), Connections: append([]uint64{}, s.Connections...),
		Places: s.Places, Ending: s.Ending,
	}
}

// known returns a time; nil if it is not known.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *sessions) show(r *http.Request, _ url.Values) (any, error) {
	var one Session
	err := s.lists.findOne(r.Context(), question{Op: showSession, ID: r.PathValue("id")}, &one)
	return one, err
}

func (s *sessions) showHere(ctx context.Context, id string, _ url.Values) (any, error) {
	one, err := s.find(ctx, id)
	return sessionOf(one, id, s.lists.self()), err
}

// find returns the session of an id that has connections here.
func (s *sessions) find(ctx context.Context, id string) (found core.SessionInfo, err error) {
	err = s.lists.walk(ctx, func(ctx context.Context) error {
		return s.all.ListSessions(ctx, func(one core.SessionInfo) {
			if sessionID(one.Key) == id {
				found = one
			}
		})
	})
	if err == nil && found.Places == 0 {
		err = &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("no connection has a session %.50q", id)}
	}
	return found, err
}

// end closes a session.
func (s *sessions) end(r *http.Request, _ url.Values) (any, error) {
	var one Session
	if err := s.lists.findOne(r.Context(), question{Op: endSession, ID: r.PathValue("id")}, &one); err != nil {
		return nil, err
	}
	s.api.log.LogAttrs(r.Context(), slog.LevelInfo, "an operator closes a session", slog.String("endpoint", one.Endpoint), slog.String("session", one.ID),
		slog.Int("connections", one.Places), slog.String("by", r.RemoteAddr))
	return one, nil
}

// endHere closes a session that has connections here; those of other nodes lose it too, if its store is that of the
// cluster.
func (s *sessions) endHere(ctx context.Context, id string, _ url.Values) (any, error) {
	one, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := s.close(ctx, one.Key); err != nil {
		if f, ok := errors.AsType[core.Failure](err); ok && f.Code == core.SessionUnknown {
			return nil, &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("no connection has a session %.50q any more", id)}
		}
		return nil, fmt.Errorf("closing the session: %w", err)
	}
	return sessionOf(one, id, s.lists.self()), nil
}
