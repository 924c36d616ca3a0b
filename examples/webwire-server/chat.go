package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"sync"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
)

// chat is the server implementation: a chat room with accounts.
type chat struct {
	accounts map[string]string // passwords
	sessions *sessions
	broker   *polywire.Broker

	// Guarded by mu.
	mu        sync.Mutex
	connected map[core.Client]bool
}

func newChat(s *sessions) *chat {
	return &chat{
		accounts: map[string]string{"ann": "secret", "bob": "hidden"},
		sessions: s, connected: make(map[core.Client]bool),
	}
}

// broadcast signals all clients.
func (s *chat) broadcast(user, message string) {
	data, err := json.Marshal(map[string]string{"user": user, "msg": message})
	if err != nil {
		log.Printf("encoding a message: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for client := range s.connected {
		send(client, "", core.Payload{Kind: core.JSON, Data: data})
	}
}

// auth is the request "auth": it signs in and opens a session.
func (s *chat) auth(_ context.Context, c core.Invocation) (core.Payload, error) {
	var credentials struct{ Name, Password string }
	if err := json.Unmarshal(c.Payload.Data, &credentials); err != nil {
		return core.Payload{}, core.Failure{Code: "DECODING_FAILURE", Text: err.Error()}
	}
	if password, known := s.accounts[credentials.Name]; !known || password != credentials.Password {
		return core.Payload{}, core.Failure{Code: "WRONG_CREDENTIALS", Text: "Incorrect username or password, try again"}
	}
	info, err := json.Marshal(map[string]string{"username": credentials.Name})
	if err != nil {
		return core.Payload{}, fmt.Errorf("encoding session information: %w", err)
	}
	// The client is told of its session before it reads the reply.
	session, err := c.Caller.OpenSession(info)
	if err != nil {
		return core.Payload{}, fmt.Errorf("creating session: %w", err)
	}
	return text(session.Key), nil
}

// message is the request "msg": it tells everybody.
func (s *chat) message(_ context.Context, c core.Invocation) (core.Payload, error) {
	s.broadcast(s.sessions.user(c.Session), string(c.Payload.Data))
	return core.Payload{}, nil
}

// kick is the request "kick": it ends the caller's session on all its connections.
func (s *chat) kick(ctx context.Context, c core.Invocation) (core.Payload, error) {
	n := len(s.broker.SessionClients(c.Session))
	if err := s.broker.CloseSession(ctx, c.Session); err != nil {
		return core.Payload{}, err
	}
	return text(fmt.Sprintf("%d connections signed out", n)), nil
}

func (s *chat) unknown(_ context.Context, c core.Invocation) (core.Payload, error) {
	return core.Payload{}, core.Failure{Code: "BAD_REQUEST", Text: "Unsupported request name: " + c.Service}
}

// OnSignal handles the signal "typing", and signals its sender that it was seen.
func (s *chat) OnSignal(_ context.Context, c core.Invocation) (core.Payload, error) {
	send(c.Caller.Client(), "seen", text(s.sessions.user(c.Session)+" is typing"))
	return core.Payload{}, nil
}

// BeforeUpgrade refuses clients of the first version.
func (s *chat) BeforeUpgrade(_ context.Context, _ string, h core.Handshake) error {
	if h.Query.Get("version") == "1" {
		return errors.New("version 1 is not served any more")
	}
	return nil
}

// OnClientConnected welcomes a client.
func (s *chat) OnClientConnected(_ context.Context, c core.Client) {
	log.Printf("New client connected: %s", c.Remote)
	s.mu.Lock()
	s.connected[c] = true
	n := len(s.connected)
	s.mu.Unlock()
	send(c, "welcome", text(fmt.Sprintf("%d connected", n)))
}

// OnClientDisconnected forgets a client.
func (s *chat) OnClientDisconnected(c core.Client, reason core.Reason) {
	log.Printf("Client %s disconnected, reason: %s", c.Remote, reason)
	s.mu.Lock()
	delete(s.connected, c)
	s.mu.Unlock()
}

// OnSessionCreated tells everybody.
func (s *chat) OnSessionCreated(_ context.Context, _ core.Client, session core.Session) {
	s.broadcast(s.sessions.user(session.Key), "signed in")
}

// OnSessionLookup tells everybody.
func (s *chat) OnSessionLookup(_ context.Context, _ core.Client, session core.Session) {
	s.broadcast(s.sessions.user(session.Key), "is back")
}

// OnSessionClosed is called when nobody can restore the session any more.
func (s *chat) OnSessionClosed(context.Context, string) { s.broadcast("chat", "somebody signed out") }

// send signals one client.
func send(c core.Client, name string, p core.Payload) {
	if err := c.Send(name, p); err != nil {
		log.Printf("Signal %q to %s: %v", name, c.Remote, err)
	}
}

func text(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }
