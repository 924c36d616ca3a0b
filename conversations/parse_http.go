package conversations

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// connect parses the rest of "connect" or "dial".
func (p *parser) connect(verb, rest string, l *line) (step, error) {
	s := &connectStep{dial: verb == "dial"}
	s.name, rest = cutWord(rest)
	s.endpoint, rest = cutWord(rest)
	if s.endpoint == "" || s.endpoint == "=>" {
		return nil, wrong("write \""+verb+" NAME ENDPOINT\"", "the endpoint is missing")
	}
	if err := p.newName(s.name, p.connections); err != nil {
		return nil, err
	}
	if s.dial {
		if rest != "" {
			return nil, wrong("send it with \""+s.name+" >raw\"", "dial takes no %q", rest)
		}
		return s, nil
	}
	s.reply.status = 101
	for rest != "" {
		var err error
		if rest, err = s.option(rest); err != nil {
			return nil, err
		}
	}
	p.reply(&s.reply, l)
	return s, nil
}

// option parses one option of connect and returns the rest.
func (s *connectStep) option(text string) (rest string, err error) {
	word, rest := cutWord(text)
	switch {
	case word == "=>":
		word, rest = cutWord(rest)
		s.reply.status, err = parseStatus(word)
	case word == "nopong":
		s.nopong = true
	case word == "on":
		if s.node, rest = cutWord(rest); s.node == "" {
			err = wrong(`write "on NODE"`, "the node is missing")
		}
	case word == "header":
		rest, err = s.header(rest)
	case strings.HasPrefix(word, `path="`):
		if s.path, rest, err = cutQuoted(text[len("path="):]); err != nil {
			err = wrong(`write path="/x y"`, "%v", err)
		}
	case strings.HasPrefix(word, "path="):
		s.path = word[len("path="):]
	case strings.HasPrefix(word, "protocol="):
		s.protocols = strings.ReplaceAll(word[len("protocol="):], ",", ", ")
	default:
		err = wrong(`use on NODE, path=/x, header "Name: value", protocol=a,b, nopong or => STATUS`, "connect has no option %q", word)
	}
	return rest, err
}

// header parses the quoted header line of connect, and returns the rest.
func (s *connectStep) header(text string) (rest string, err error) {
	h, rest, err := cutQuoted(text)
	if err != nil {
		return "", wrong(`write header "Name: value"`, "%v", err)
	}
	s.headers = append(s.headers, h)
	_, err = parseField(h)
	return rest, err
}

// http parses the rest of "http".
func (p *parser) http(rest string, l *line) (step, error) {
	s := &httpStep{}
	s.method, rest = cutWord(rest)
	s.endpoint, rest = cutWord(rest)
	if strings.HasPrefix(rest, `"`) {
		var err error
		if s.path, rest, err = cutQuoted(rest); err != nil {
			return nil, wrong(`write "http POST ENDPOINT /path", or the path in quotes`, "%v", err)
		}
	} else {
		s.path, rest = cutWord(rest)
	}
	if !strings.HasPrefix(s.path, "/") {
		return nil, wrong(`write "http POST ENDPOINT /path"`, "the path is missing")
	}
	if rest != "" {
		number, ok := strings.CutPrefix(rest, "=>")
		if !ok {
			return nil, wrong("indent \"header\", \"body\" and \"=> STATUS\" in lines of their own", "http takes no %q", rest)
		}
		l.block = append(l.block, line{number: l.number, text: "=>" + number})
	}
	until := slices.IndexFunc(l.block, func(b line) bool { return strings.HasPrefix(b.text, "=>") })
	if until < 0 {
		return nil, wrong("indent \"=> STATUS\" under it", "the expected status is missing")
	}
	for _, b := range l.block[:until] {
		if err := s.requestLine(b.text); err != nil {
			p.fault(b.number, err)
		}
	}
	l.block = l.block[until:]
	p.reply(&s.reply, l)
	return s, nil
}

// requestLine parses a line of the request.
func (s *httpStep) requestLine(text string) error {
	word, rest := cutWord(text)
	switch word {
	case "header":
		f, err := parseField(rest)
		s.headers = append(s.headers, f)
		return err
	case "body":
		s.body = rest
		return nil
	}
	return wrong("write \"header Name: value\" or \"body TEXT\"", "a request has no %q", word)
}

// reply parses the indented lines of an expected answer and removes them from l.
func (p *parser) reply(r *reply, l *line) {
	for _, b := range l.block {
		if err := r.line(b.text); err != nil {
			p.fault(b.number, err)
		}
	}
	l.block = nil
}

// line parses one line of an expected answer.
func (r *reply) line(text string) (err error) {
	word, rest := cutWord(text)
	switch {
	case word == "=>":
		r.status, err = parseStatus(rest)
	case word == "header":
		var f field
		f, err = parseField(rest)
		r.headers = append(r.headers, f)
	case text == "no body":
		r.body = new(string)
	case word == "no" && strings.HasPrefix(rest, "header "):
		r.absent = append(r.absent, strings.TrimSpace(rest[len("header "):]))
	case word == "body":
		r.body = &rest
		err = checkedPattern(rest)
	default:
		err = wrong(`write "=> STATUS", "header Name: value", "no header Name", "body TEXT" or "no body"`,
			"an answer has no %q", word)
	}
	return err
}

func parseStatus(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 || n > 999 {
		return 0, wrong("write a number such as 403", "%q is no HTTP status", s)
	}
	return n, nil
}

// checkedPattern is checkPattern with advice in its error.
func checkedPattern(pattern string) error {
	if err := checkPattern(pattern); err != nil {
		return wrong("correct the JSON, or compare exact text with <=", "the pattern %q begins like JSON and is none", shorten(pattern))
	}
	return nil
}

// webhookStep parses what follows the name of a webhook.
func (p *parser) webhookStep(name, rest string, l *line) (step, error) {
	verb, rest := cutWord(rest)
	switch verb {
	case "answers":
		return p.answers(name, rest, l)
	case "release":
		return &releaseStep{name}, nil
	case "silence":
		wait, err := parseDuration(rest)
		return &notAskedStep{name, wait}, err
	case "got":
		s := &gotStep{name: name, pattern: rest}
		var r reply
		p.reply(&r, l)
		s.headers = r.headers
		return s, checkedPattern(rest)
	}
	return nil, wrong("use answers, got, silence or release", "a webhook does not %q", verb)
}

// answers parses "COMMAND STATUS [after DURATION]", "COMMAND drop" or "COMMAND hold".
func (p *parser) answers(name, rest string, l *line) (step, error) {
	s := &answersStep{name: name}
	s.command, rest = cutWord(rest)
	what, rest := cutWord(rest)
	var err error
	switch what {
	case "drop":
		s.answer.drop = true
	case "hold":
		s.answer.hold, s.answer.status = true, 200
	default:
		s.answer.status, err = parseStatus(what)
	}
	if after, ok := strings.CutPrefix(rest, "after "); ok && err == nil {
		var d time.Duration
		d, err = parseDuration(after)
		s.answer.after = d
	} else if rest != "" && err == nil {
		err = wrong("write \"after 200ms\" or nothing", "an answer takes no %q", rest)
	}
	for _, b := range l.block {
		f, err := parseField(strings.TrimPrefix(b.text, "header "))
		if err != nil {
			p.fault(b.number, err)
		}
		s.answer.headers = append(s.answer.headers, f)
	}
	l.block = nil
	return s, err
}

// metric parses the rest of "metric".
func (p *parser) metric(rest string) (step, error) {
	usage := `write "metric NAME{label=\"value\"} >= N" or "== N"`
	s := &metricStep{text: rest}
	end := strings.IndexAny(rest, "{ ")
	if end <= 0 {
		return nil, wrong(usage, "%q is no metric", rest)
	}
	s.name = rest[:end]
	labels, rest, err := parseLabels(rest[end:])
	if err != nil {
		return nil, wrong(usage, "%v", err)
	}
	s.labels = labels
	operator, number := cutWord(rest)
	s.atLeast = operator == ">="
	s.value, err = strconv.ParseFloat(number, 64)
	if err != nil || !s.atLeast && operator != "==" {
		return nil, wrong(usage, "%q is no comparison with a number", rest)
	}
	return s, nil
}
