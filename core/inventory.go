package core

import (
	"errors"
	"time"
)

// This file is what an operator sees of the engine's tables.

// MaxAnswerers bounds the answerers of a service, and the connections of a session, that are named.
const MaxAnswerers = 100

// ErrNoSession says that no connection here has a session.
var ErrNoSession = errors.New("no connection here has such a session")

// TopicInfo is a topic, or all patterns that match the same, which somebody hears.
type TopicInfo struct {
	// Name is the whole topic, with the prefix of its endpoint, or the pattern without the names of its
	// wildcards. Prefix is what the topics have before them that the pattern matches; see
	// Endpoint.TopicPrefix.
	Name, Prefix string
	Pattern      bool
	// Subscribers is how many subscriptions there are.
	Subscribers int
}

// Hearing is how many subscriptions the connections of an endpoint have to a topic or pattern.
type Hearing struct {
	Endpoint, Protocol string
	Subscribers        int
}

// HeardTopic is a topic or pattern with who hears it.
type HeardTopic struct {
	TopicInfo
	By []Hearing // by the names of the endpoints
}

// HolderInfo is a connection that owns a channel or answers a service.
type HolderInfo struct {
	Connection     uint64
	Endpoint, User string
}

// ChannelInfo is a channel that a connection owns.
type ChannelInfo struct {
	Name     string
	Services int // how many services its owner answers below it
	Owner    HolderInfo
}

// ServiceKind says who answers a service.
type ServiceKind int

const (
	// SharedService is answered by connections that offer it, in turn.
	SharedService ServiceKind = iota
	// OwnedService is answered by the owner of the channel that it lies in.
	OwnedService
	// HandledService is answered by a Go handler.
	HandledService
	// UpstreamService is answered by what the configuration says.
	UpstreamService
	// OtherService is answered by the Go handler for what nobody else answers.
	OtherService
)

// ServiceInfo is a service that somebody answers.
type ServiceInfo struct {
	// Name is the whole service; of a Go handler or the configuration it is as clients name it, or a
	// pattern.
	Name string
	Kind ServiceKind
	// Answerers are connections, MaxAnswerers at most; Offers is how many there are.
	Answerers []HolderInfo
	Offers    int
	// Pending is how many calls have no answer yet, and Bound how many there may be.
	Pending, Bound int
}

// SessionInfo is a session that has connections here, or that some are about to join.
type SessionInfo struct {
	Key string
	// Created and LastLookup are as its store has them; zero while nobody has joined yet.
	Created, LastLookup time.Time
	Endpoint            string   // of one of its connections
	Connections         []uint64 // MaxAnswerers at most
	Places              int      // how many there are
	Ending              bool     // it is being deleted
}

// NodeHoldings are what a node knows of another one.
type NodeHoldings struct {
	// Channels and Services are how many its clients have.
	Channels, Services int
	// Asking is how many calls of its clients wait for clients here, and Asked how many calls of clients here wait
	// for it.
	Asking, Asked int
}
