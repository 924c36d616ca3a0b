package rawjson

import "bytes"

// cursor walks over the items of one container.
type cursor struct {
	s     scanner
	begun bool
	ended bool
	value []byte
	err   error
}

// more moves to the beginning of the next item and reports whether there is one.
func (c *cursor) more(open, end byte) bool {
	if c.ended {
		return false
	}
	s := &c.s
	s.pos = skipSpace(s.data, s.pos)
	switch {
	case !c.begun:
		if !s.at(open) {
			return c.fail(ErrSyntax)
		}
		c.begun = true
		if s.skip(); !s.at(end) {
			return true
		}
	case s.at(','):
		s.skip()
		return true
	case !s.at(end):
		return c.fail(ErrSyntax)
	}
	if s.skip(); s.pos < len(s.data) {
		return c.fail(ErrSyntax)
	}
	c.ended = true
	return false
}

// take reads the value at the cursor.
func (c *cursor) take() bool {
	from := c.s.pos
	if err := c.s.value(1); err != nil {
		return c.fail(err)
	}
	c.value = c.s.data[from:c.s.pos:c.s.pos]
	return true
}

// fail ends the walk.
func (c *cursor) fail(err error) bool {
	c.ended = true
	c.err = &SyntaxError{c.s.pos, err}
	return false
}

// outcome is what Err returns.
func (c *cursor) outcome() error {
	if !c.ended {
		return errUnread
	}
	return c.err
}

// Members iterates over the members of one JSON object, in the order in which
// they are written, duplicates included. It is a value that can live on the stack.
// Call Next until it returns false, and then check Err.
type Members struct {
	cursor  cursor
	key     []byte
	escaped bool
	scratch []byte
}

// Object returns an iterator over data, which must be exactly one object, with
// white space around it allowed; anything else shows in Err. The iterator
// borrows data until it is done with.
func Object(data []byte) Members { return Members{cursor: cursor{s: scanner{data: data}}} }

// Next reads the next member, all of it. It returns false at the end and at an
// error.
func (m *Members) Next() bool {
	if !m.cursor.more('{', '}') {
		return false
	}
	s := &m.cursor.s
	if !s.at('"') {
		return m.cursor.fail(ErrSyntax)
	}
	from := s.pos + 1
	escaped, err := s.text()
	if err != nil {
		return m.cursor.fail(err)
	}
	m.key, m.escaped = s.data[from:s.pos-1:s.pos-1], escaped
	if err := s.colon(); err != nil {
		return m.cursor.fail(err)
	}
	return m.cursor.take()
}

// Key returns the member's name, decoded: a sub-slice of the object, or, if it
// is written with escapes, bytes that are valid until the next call of Next.
func (m *Members) Key() []byte {
	if m.escaped {
		m.scratch, _ = appendUnescaped(m.scratch[:0], m.key)
		m.key, m.escaped = m.scratch, false
	}
	return m.key
}

// KeyIs reports whether Key is name, exactly or ignoring case, as encoding/json
// matches the fields of a struct.
func (m *Members) KeyIs(name string) bool {
	key := m.Key()
	return string(key) == name || bytes.EqualFold(key, []byte(name))
}

// Value returns the member's value as it is written, a sub-slice of the object
// without white space around it.
func (m *Members) Value() []byte { return m.cursor.value }

// Err returns nil if the whole data was one well-formed object. That is known
// only after Next returned false: until then Err is not nil and the members are
// provisional. A failure is a *SyntaxError.
func (m *Members) Err() error { return m.cursor.outcome() }

// Elements iterates over the elements of one JSON array. It is used like
// [Members].
type Elements struct{ cursor cursor }

// Array returns an iterator over data, which must be exactly one array, with
// white space around it allowed; anything else shows in Err. The iterator
// borrows data until it is done with.
func Array(data []byte) Elements { return Elements{cursor{s: scanner{data: data}}} }

// Next reads the next element, all of it. It returns false at the end and at an
// error.
func (e *Elements) Next() bool { return e.cursor.more('[', ']') && e.cursor.take() }

// Value returns the element as it is written, a sub-slice of the array without
// white space around it.
func (e *Elements) Value() []byte { return e.cursor.value }

// Err is as [Members.Err], for an array.
func (e *Elements) Err() error { return e.cursor.outcome() }
