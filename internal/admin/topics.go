package admin

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/polywire/polywire/core"
)

// Topics are what somebody hears. Any goroutine but those of the event loops.
type Topics interface {
	// ListTopics calls visit with each topic and pattern that somebody hears here, on the calling goroutine.
	ListTopics(ctx context.Context, visit func(core.TopicInfo)) error
	// TopicHeard returns who hears one of them here.
	TopicHeard(ctx context.Context, t core.TopicInfo) (core.HeardTopic, error)
	// TopicAudience returns by what a message on a whole topic would be heard here.
	TopicAudience(ctx context.Context, topic string) ([]core.HeardTopic, error)
}

// topics serves /v1/topics.
type topics struct {
	all   Topics
	api   api
	lists *lists
	kind  kind[Topic]
}

func newTopics(src Source, a api, l *lists) *topics {
	t := &topics{all: src.Tables, api: a, lists: l}
	t.kind = kind[Topic]{name: "topics", collect: t.collect, fill: t.fill}
	t.kind.serve(l)
	l.local[showTopic] = t.showHere
	return t
}

// showTopic is what other nodes may ask about one topic.
const showTopic = "topic"

func (t *topics) serve(mux *http.ServeMux) {
	const look = "look at topics"
	t.api.handle(mux, "GET /v1/topics", Read, look, []string{"name", "prefix", "sort", "limit", "after"}, t.list)
	t.api.handle(mux, "GET /v1/topics/{topic...}", Read, look, nil, t.show)
}

// Topic is a topic, or all patterns that match the same, which somebody hears at a node, in the answers of /v1.
type Topic struct {
	// Node is the node of the cluster; empty if there is no cluster.
	Node  string `json:"node,omitempty"`
	Topic string `json:"topic"`
	// Pattern says that it is a pattern, of which the wildcards have no names; Prefix is what the topics have before
	// them that it matches.
	Pattern     bool   `json:"pattern,omitempty"`
	Prefix      string `json:"prefix,omitempty"`
	Subscribers int    `json:"subscribers"`
	// Endpoints are those of the subscribers.
	Endpoints []TopicHearing `json:"endpoints"`
}

// TopicHearing is how many subscriptions the connections of an endpoint have.
type TopicHearing struct {
	Endpoint    string `json:"endpoint"`
	Protocol    string `json:"protocol"`
	Subscribers int    `json:"subscribers"`
}

// TopicList is the answer to GET /v1/topics.
type TopicList struct {
	Topics []Topic `json:"topics"`
	List
}

// TopicDetail is the answer to GET /v1/topics/{topic}.
type TopicDetail struct {
	Topic string `json:"topic"`
	// Subscribers is how many subscriptions a message on it would be for.
	Subscribers int `json:"subscribers"`
	// HeardBy are the topic and the patterns of these subscriptions, the most heard first, maxHeard at most; More is how
	// many are left out.
	HeardBy []Topic  `json:"heard_by"`
	More    int      `json:"more,omitempty"`
	Missing []string `json:"missing,omitempty"`
}

// maxHeard bounds TopicDetail.HeardBy.
const maxHeard = 1000

func (t *topics) list(r *http.Request, q url.Values) (any, error) {
	all, list, err := t.kind.everywhere(r.Context(), t.lists, q)
	if err != nil {
		return nil, err
	}
	return TopicList{all, list}, nil
}

// collect adds the topics of this node that a query asks for.
func (t *topics) collect(ctx context.Context, q url.Values, add func(place, Topic)) error {
	wanted, sort := named(q), q.Get("sort")
	if sort != "" && sort != "name" && sort != "subscribers" {
		return invalid("sort must be name or subscribers, not %.50q", sort)
	}
	node := t.lists.self()
	return t.all.ListTopics(ctx, func(one core.TopicInfo) {
		if !wanted(one.Name) {
			return
		}
		// A topic, and patterns under unlike prefixes, may be called the same.
		name := one.Name + "\x00" + one.Prefix
		if one.Pattern {
			name += "\x00"
		}
		at := placeOfName(name, node)
		if sort == "subscribers" {
			at.Key = -int64(one.Subscribers)
		}
		add(at, Topic{Node: node, Topic: one.Name, Pattern: one.Pattern, Prefix: one.Prefix, Subscribers: one.Subscribers})
	})
}

// fill says who hears a topic. Nobody may by now.
func (t *topics) fill(ctx context.Context, one *Topic) error {
	heard, err := t.all.TopicHeard(ctx, core.TopicInfo{Name: one.Topic, Prefix: one.Prefix, Pattern: one.Pattern})
	*one = topicOf(heard, one.Node)
	return err
}

func topicOf(h core.HeardTopic, node string) Topic {
	t := Topic{Node: node, Topic: h.Name, Pattern: h.Pattern, Prefix: h.Prefix, Subscribers: h.Subscribers, Endpoints: []TopicHearing{}}
	for _, by := range h.By {
		t.Endpoints = append(t.Endpoints, TopicHearing(by))
	}
	return t
}

// show returns by what a message on a topic would be heard.
func (t *topics) show(r *http.Request, _ url.Values) (any, error) {
	q := question{Op: showTopic, ID: r.PathValue("topic")}
	asked := t.lists.askAll(r.Context(), q)
	here, err := t.lists.local[q.Op](r.Context(), q.ID, nil)
	if err != nil {
		return nil, err
	}
	detail := here.(TopicDetail)
	for node, one := range asked() {
		var other TopicDetail
		if err := one.read(&other); err != nil {
			detail.Missing = append(detail.Missing, node)
			continue
		}
		detail.Subscribers += other.Subscribers
		detail.More += other.More
		detail.HeardBy = append(detail.HeardBy, other.HeardBy...)
	}
	slices.Sort(detail.Missing)
	detail.cut(maxHeard)
	return detail, nil
}

func (t *topics) showHere(ctx context.Context, topic string, _ url.Values) (any, error) {
	detail := TopicDetail{Topic: topic, HeardBy: []Topic{}}
	err := t.lists.turns.take(ctx, func(ctx context.Context) error {
		all, err := t.all.TopicAudience(ctx, topic)
		for _, one := range all {
			detail.Subscribers += one.Subscribers
			detail.HeardBy = append(detail.HeardBy, topicOf(one, t.lists.self()))
		}
		return err
	})
	detail.cut(maxHeard)
	return detail, err
}

// cut leaves so many of HeardBy.
func (d *TopicDetail) cut(most int) {
	slices.SortStableFunc(d.HeardBy, func(a, b Topic) int {
		return cmp.Or(cmp.Compare(b.Subscribers, a.Subscribers), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Node, b.Node))
	})
	if n := len(d.HeardBy); n > most {
		d.HeardBy, d.More = d.HeardBy[:most], d.More+n-most
	}
}
