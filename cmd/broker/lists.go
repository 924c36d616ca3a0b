package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
)

// listing is a command that prints a list of the running broker.
type listing[L any] struct {
	use, short, long, example, path string
	// parameters are the flags of the query, and what they say.
	parameters [][2]string
	// list returns what all lists have, and join appends the elements of a page.
	list  func(*L) *polywire.List
	join  func(all *L, page L)
	print func(t *tabwriter.Writer, all L)
	// one prints an answer to the path of one element; nil if there is none.
	one func(o *operator, cmd *cobra.Command, name string, asJSON bool) error
}

// command returns the command.
func (l listing[L]) command() *cobra.Command {
	var s settings
	var asJSON bool
	var limit int
	query := make(map[string]*string)
	args := noArgs
	if l.one != nil {
		args = cobra.MaximumNArgs(1)
	}
	cmd := &cobra.Command{
		Use: l.use, Short: l.short, Example: l.example, Args: args,
		Long: l.long + ` It asks at the admin address of the configuration. In a
cluster the list is of all nodes, and stderr names those that did not answer.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := s.operator(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return l.one(o, cmd, args[0], asJSON)
			}
			all, err := l.get(cmd, o, given(query), limit)
			if err != nil {
				return err
			}
			warnMissing(cmd.ErrOrStderr(), l.list(&all).Missing)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return l.table(cmd.OutOrStdout(), all, limit)
		},
	}
	flags := cmd.Flags()
	for _, one := range l.parameters {
		query[one[0]] = flags.String(one[0], "", one[1])
	}
	flags.IntVar(&limit, "limit", 100, "list so many; 0 is all")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	s.addAsking(flags)
	return cmd
}

// get returns the first elements that a query asks for, as many as limit.
func (l listing[L]) get(cmd *cobra.Command, o *operator, q url.Values, limit int) (all L, err error) {
	const most = 1000
	for left, first := limit, true; ; first = false {
		n := most
		if limit > 0 {
			n = min(n, left)
		}
		q.Set("limit", strconv.Itoa(n))
		var page L
		if err := o.get(cmd.Context(), http.MethodGet, l.path, q, &page); err != nil {
			return all, err
		}
		next := l.list(&page).Next
		list := l.list(&page)
		if first {
			all = page
		} else {
			l.join(&all, page)
		}
		*l.list(&all) = polywire.List{Total: list.Total, Missing: list.Missing}
		if left -= n; next == "" || limit > 0 && left <= 0 {
			return all, nil
		}
		q.Set("after", next)
	}
}

func (l listing[L]) table(w io.Writer, all L, limit int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	l.print(t, all)
	if total := l.list(&all).Total; limit > 0 && total > limit {
		fmt.Fprintf(t, "\n%d of %d; --limit 0 lists all\n", limit, total)
	}
	return flush(t)
}

// warnMissing says which nodes are not in a list.
func warnMissing(w io.Writer, nodes []string) {
	if len(nodes) > 0 {
		fmt.Fprintf(w, "broker: without nodes that did not answer: %s\n", strings.Join(nodes, ", "))
	}
}

// at returns the node of an element for a table.
func at(node string) string { return cmp.Or(node, "-") }

var (
	nameFlag   = [2]string{"name", "only the one of this name"}
	prefixFlag = [2]string{"prefix", "only those whose names begin so"}
)

// newEndpoints returns the command that lists the endpoints.
func newEndpoints() *cobra.Command {
	return listing[polywire.EndpointList]{
		use: "endpoints", short: "List the endpoints of the running broker, and what they do",
		long: `endpoints lists how many connections each endpoint has, how many bytes wait because
clients do not read them (QUEUED, of SLOW connections), and how many messages went in and
out since the broker started.`,
		example: `  broker endpoints --config config.yaml`,
		path:    "/v1/endpoints", parameters: [][2]string{nameFlag, prefixFlag},
		list: func(l *polywire.EndpointList) *polywire.List { return &l.List },
		join: func(all *polywire.EndpointList, page polywire.EndpointList) {
			all.Endpoints = append(all.Endpoints, page.Endpoints...)
		},
		print: func(t *tabwriter.Writer, all polywire.EndpointList) {
			fmt.Fprintln(t, "ENDPOINT\tPROTOCOL\tURL\tNODE\tCONNECTIONS\tSLOW\tQUEUED\tIN\tOUT\tREFUSED\tDROPPED")
			for _, e := range all.Endpoints {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", e.Endpoint, e.Protocol, cmp.Or(e.URL, "-"), at(e.Node), e.Connections, e.Slow,
					e.QueuedBytes, e.MessagesIn, e.MessagesOut, e.Refused, e.Dropped)
			}
		},
	}.command()
}

// newTopics returns the command that lists what is heard.
func newTopics() *cobra.Command {
	return listing[polywire.TopicList]{
		use: "topics [TOPIC]", short: "List what clients of the running broker hear",
		long: `topics lists the topics and patterns that somebody hears, and by how many subscriptions of
which endpoints, or with a topic by which of them a message on it would be heard. Topics are
named with the prefix of their endpoint.`,
		example: `  broker topics --config config.yaml --sort subscribers --limit 10
  broker topics --config config.yaml news/today`,
		path: "/v1/topics", parameters: [][2]string{nameFlag, prefixFlag, {"sort", "what comes first: by name, or by subscribers"}},
		list: func(l *polywire.TopicList) *polywire.List { return &l.List },
		join: func(all *polywire.TopicList, page polywire.TopicList) {
			all.Topics = append(all.Topics, page.Topics...)
		},
		print: func(t *tabwriter.Writer, all polywire.TopicList) { printTopics(t, all.Topics) },
		one: func(o *operator, cmd *cobra.Command, name string, asJSON bool) error {
			var topic polywire.TopicDetail
			if err := o.get(cmd.Context(), http.MethodGet, "/v1/topics/"+url.PathEscape(name), nil, &topic); err != nil {
				return err
			}
			warnMissing(cmd.ErrOrStderr(), topic.Missing)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), topic)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			printTopics(t, topic.HeardBy)
			if topic.More > 0 {
				fmt.Fprintf(t, "\nand %d patterns more\n", topic.More)
			}
			return flush(t)
		},
	}.command()
}

func printTopics(t *tabwriter.Writer, all []polywire.Topic) {
	fmt.Fprintln(t, "TOPIC\tPREFIX\tNODE\tSUBSCRIBERS\tAT")
	for _, one := range all {
		var where []string
		for _, e := range one.Endpoints {
			where = append(where, fmt.Sprintf("%s (%s) %d", e.Endpoint, e.Protocol, e.Subscribers))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", plain(one.Topic), cmp.Or(plain(one.Prefix), "-"), at(one.Node), one.Subscribers, strings.Join(where, ", "))
	}
}

// newChannels returns the command that lists the channels.
func newChannels() *cobra.Command {
	return listing[polywire.ChannelList]{
		use: "channels", short: "List which clients of the running broker own channels",
		long:    `channels lists the channels that clients own, and how many services they answer in them.`,
		example: `  broker channels --config config.yaml`,
		path:    "/v1/channels", parameters: [][2]string{nameFlag, prefixFlag, {"user", "only those of a user"}},
		list: func(l *polywire.ChannelList) *polywire.List { return &l.List },
		join: func(all *polywire.ChannelList, page polywire.ChannelList) {
			all.Channels = append(all.Channels, page.Channels...)
		},
		print: func(t *tabwriter.Writer, all polywire.ChannelList) {
			fmt.Fprintln(t, "CHANNEL\tNODE\tCONNECTION\tENDPOINT\tUSER\tSERVICES")
			for _, c := range all.Channels {
				fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%d\n", plain(c.Channel), at(c.Node), c.Owner.Connection, c.Owner.Endpoint, cmp.Or(plain(c.Owner.User), "-"), c.Services)
			}
		},
	}.command()
}

// newServices returns the command that lists the services.
func newServices() *cobra.Command {
	return listing[polywire.ServiceList]{
		use: "services", short: "List who answers which services of the running broker",
		long: `services lists the services that connections offer, in turn or as owners of their
channel, those of the program and those of the configuration, and how many calls wait for
their answers (PENDING).`,
		example: `  broker services --config config.yaml --sort pending`,
		path:    "/v1/services", parameters: [][2]string{nameFlag, prefixFlag, {"sort", "what comes first: by name, or by pending"}},
		list: func(l *polywire.ServiceList) *polywire.List { return &l.List },
		join: func(all *polywire.ServiceList, page polywire.ServiceList) {
			all.Services = append(all.Services, page.Services...)
		},
		print: func(t *tabwriter.Writer, all polywire.ServiceList) {
			fmt.Fprintln(t, "SERVICE\tNODE\tBY\tPENDING\tCONNECTIONS")
			for _, s := range all.Services {
				var by []string
				for _, c := range s.Connections {
					by = append(by, strconv.FormatUint(c.Connection, 10))
				}
				if n := s.Offers - len(by); n > 0 {
					by = append(by, fmt.Sprintf("and %d more", n))
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", cmp.Or(plain(s.Service), "-"), at(s.Node), s.By, s.Pending, cmp.Or(strings.Join(by, " "), "-"))
			}
		},
	}.command()
}

// newSessions returns the command that lists sessions, and closes one.
func newSessions() *cobra.Command {
	var close bool
	l := listing[polywire.SessionList]{
		use: "sessions [ID]", short: "List the sessions of the running broker, or close one",
		long: `sessions lists the sessions that have connections, or with an id shows one, or with --close
ends it: its connections are told in their format, and nobody can restore it. An id is no key:
it is a digest of the key, which the broker shows to nobody.`,
		example: `  broker sessions --config config.yaml
  broker sessions --config config.yaml 6b86b273ff34fce19d6b804e --close`,
		path: "/v1/sessions", parameters: [][2]string{{"endpoint", "only those of an endpoint"}},
		list: func(l *polywire.SessionList) *polywire.List { return &l.List },
		join: func(all *polywire.SessionList, page polywire.SessionList) {
			all.Sessions = append(all.Sessions, page.Sessions...)
		},
		print: func(t *tabwriter.Writer, all polywire.SessionList) { printSessions(t, all.Sessions...) },
		one: func(o *operator, cmd *cobra.Command, id string, asJSON bool) error {
			method := http.MethodGet
			if close {
				method = http.MethodDelete
			}
			var one polywire.Session
			if err := o.get(cmd.Context(), method, "/v1/sessions/"+url.PathEscape(id), nil, &one); err != nil {
				return err
			}
			switch {
			case asJSON:
				return printJSON(cmd.OutOrStdout(), one)
			case close:
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "closed %s: it had %d connections\n", one.ID, one.Places)
				return err
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			printSessions(t, one)
			return flush(t)
		},
	}
	cmd := l.command()
	cmd.Flags().BoolVar(&close, "close", false, "close the session of the id")
	return cmd
}

func printSessions(t *tabwriter.Writer, all ...polywire.Session) {
	fmt.Fprintln(t, "SESSION\tNODE\tENDPOINT\tCREATED\tCONNECTIONS")
	for _, s := range all {
		created := "-"
		if s.Created != nil {
			created = s.Created.Local().Format(time.DateTime)
		}
		var by []string
		for _, c := range s.Connections {
			by = append(by, strconv.FormatUint(c, 10))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", s.ID, at(s.Node), cmp.Or(s.Endpoint, "-"), created, cmp.Or(strings.Join(by, " "), "-"))
	}
}

// newNodes returns the command that lists the nodes of the cluster.
func newNodes() *cobra.Command {
	var s settings
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "List the nodes of the cluster that the running broker is in",
		Long: `nodes asks the running broker, at the admin address of the configuration, which other nodes
it reaches, how many channels and services their clients have, and how many calls wait
between them: FROM are those of the node that wait for this one, TO those that wait for it.`,
		Example: `  broker nodes --config config.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := s.operator(cmd)
			if err != nil {
				return err
			}
			var list polywire.NodeList
			if err := o.get(cmd.Context(), http.MethodGet, "/v1/nodes", nil, &list); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "NODE\tJOINED\tCHANNELS\tSERVICES\tFROM\tTO")
			for _, n := range list.Nodes {
				joined := "itself"
				if n.Joined != nil {
					joined = n.Joined.Local().Format(time.DateTime)
				}
				fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\n", n.Node, joined, n.Channels, n.Services, n.Asking, n.Asked)
			}
			if list.Problem != "" {
				fmt.Fprintf(t, "\n%s\n", list.Problem)
			}
			return flush(t)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	s.addAsking(cmd.Flags())
	return cmd
}
