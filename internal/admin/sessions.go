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

// storedSessions is a [core.SessionStore] that can say what it has. Of another one only sessions with connections are
// listed.
type storedSessions interface {
	// Keys calls visit with the key of each session, on the calling goroutine, and Peek returns a session, whose
	// information may be missing; it is no look-up. The error of Peek is a core.Failure with SessionUnknown if there is
	// none any more.
	Keys(ctx context.Context, visit func(key string)) error
	Peek(ctx context.Context, key string) (core.Session, error)
}

// sessions serves /v1/sessions.
type sessions struct {
	all    Sessions
	stores func(endpoint string) []core.SessionStore
	close  func(ctx context.Context, key string) error
	api    api
	lists  *lists
	kind   kind[Session]
}

func newSessions(src Source, a api, l *lists) *sessions {
	s := &sessions{all: src.Tables, stores: src.SessionStores, close: src.CloseSession, api: a, lists: l}
	s.kind = kind[Session]{name: "sessions", collect: s.collect, fill: s.fill}
	s.kind.serve(l)
	l.local[showSession], l.local[endSession] = s.showHere, s.endHere
	return s
}

// What other nodes may ask about one session.
const showSession, endSession = "session", "end session"

func (s *sessions) serve(mux *http.ServeMux) {
	const look, end = "look at sessions", "close sessions"
	s.api.handle(mux, "GET /v1/sessions", Read, look, []string{"endpoint", "connected", "limit", "after"}, s.list)
	s.api.handle(mux, "GET /v1/sessions/{id}", Read, look, nil, s.show)
	s.api.handle(mux, "DELETE /v1/sessions/{id}", Operate, end, nil, s.end)
}

// Session is a session that has connections at a node, or is in a store there, in the answers of /v1.
type Session struct {
	// ID stands for its key, which nobody may see who has not got it: it is the beginning of the key's SHA-256, in hex.
	ID string `json:"id"`
	// Node is the node of the connections, or of the store; empty if there is no cluster.
	Node string `json:"node,omitempty"`
	// Endpoint is that of one of its connections; empty if it has none.
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

	key    string
	stored storedSessions // that has it; nil if it has connections
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
	connected := q.Get("connected")
	if connected != "" && connected != "true" && connected != "false" {
		return invalid("connected must be true or false, not %.50q", connected)
	}
	node := s.lists.self()
	return s.each(ctx, q.Get("endpoint"), func(one Session) {
		if connected == "" || (one.Places > 0) == (connected == "true") {
			add(placeOfName(one.ID, node), one)
		}
	})
}

// each calls visit with the sessions that have connections to an endpoint here, then with those that are only in its
// store, without what fill adds; "" is any endpoint.
func (s *sessions) each(ctx context.Context, endpoint string, visit func(Session)) error {
	node, seen := s.lists.self(), make(map[string]struct{})
	err := s.all.ListSessions(ctx, func(one core.SessionInfo) {
		id := sessionID(one.Key)
		if seen[id] = struct{}{}; endpoint == "" || one.Endpoint == endpoint {
			visit(sessionOf(one, id, node))
		}
	})
	for _, store := range s.stores(endpoint) {
		stored, can := store.(storedSessions)
		if err != nil || !can {
			continue
		}
		err = stored.Keys(ctx, func(key string) {
			id := sessionID(key)
			if _, twice := seen[id]; !twice {
				seen[id] = struct{}{}
				visit(Session{ID: id, Node: node, Connections: []uint64{}, stored: stored, key: key})
			}
		})
	}
	return err
}

// fill says when a session was made and looked up that is only in a store. By now it may be gone, and one that cannot be
// read is listed all the same.
func (s *sessions) fill(ctx context.Context, one *Session) error {
	if one.stored != nil {
		if has, err := one.stored.Peek(ctx, one.key); err == nil {
			one.Created, one.LastLookup = known(has.Created), known(has.LastLookup)
		}
	}
	return ctx.Err()
}

func sessionOf(s core.SessionInfo, id, node string) Session {
	return Session{
		ID: id, Node: node, Endpoint: s.Endpoint, Created: known(s.Created), LastLookup: known(s.LastLookup), Connections: append([]uint64{}, s.Connections...),
		Places: s.Places, Ending: s.Ending, key: s.Key,
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
	return s.find(ctx, id)
}

// find returns the session of an id that is here.
func (s *sessions) find(ctx context.Context, id string) (found Session, err error) {
	err = s.lists.turns.take(ctx, func(ctx context.Context) error {
		err := s.each(ctx, "", func(one Session) {
			if one.ID == id {
				found = one
			}
		})
		if err != nil {
			return err
		}
		return s.fill(ctx, &found)
	})
	if err == nil && found.ID == "" {
		err = &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no session %.50q", id)}
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

// endHere closes a session that is here; connections of other nodes lose it too, if its store is that of the
// cluster.
func (s *sessions) endHere(ctx context.Context, id string, _ url.Values) (any, error) {
	one, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := s.close(ctx, one.key); err != nil {
		if f, ok := errors.AsType[core.Failure](err); ok && f.Code == core.SessionUnknown {
			return nil, &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no session %.50q any more", id)}
		}
		return nil, fmt.Errorf("closing the session: %w", err)
	}
	return one, nil
}
