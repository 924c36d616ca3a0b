package core

import "github.com/polywire/polywire/core/rawjson"

// AppendFailure appends f as the JSON object {"code":"…","text":"…"} and returns the extended
// buffer. Formats without a form for failures use it.
func AppendFailure(dst []byte, f Failure) []byte {
	dst = rawjson.AppendQuote(append(dst, `{"code":`...), []byte(f.Code))
	dst = rawjson.AppendQuote(append(dst, `,"text":`...), []byte(f.Text))
	return append(dst, '}')
}

// FailureFrom returns the failure that p stands for. It reads what [AppendFailure] writes,
// as JSON or as text; one of the two members may be missing and the code may be a number.
// Any other payload becomes the text of the failure. A failure without a code is an
// AnswererError. p must be as [AppendJSON] demands; the result owns its text.
func FailureFrom(p Payload) Failure {
	f, ok := failureObject(p)
	if !ok {
		f.Text = plainText(p)
	}
	if f.Code == "" {
		f.Code = AnswererError
	}
	return f
}

// failureObject reads a JSON object; ok is false if p is not an object with a code or a
// text. If a member comes twice, the last one counts.
func failureObject(p Payload) (f Failure, ok bool) {
	if p.Kind == Absent || !rawjson.IsObject(p.Data) {
		return f, false
	}
	members := rawjson.Object(AppendJSON(nil, p))
	for members.Next() {
		value := Payload{Kind: JSON, Data: members.Value()}
		switch {
		case rawjson.IsNull(value.Data):
		case members.KeyIs("code"):
			f.Code, ok = Code(plainText(value)), true
		case members.KeyIs("text"):
			f.Text, ok = plainText(value), true
		}
	}
	return f, ok
}

// plainText returns p as text for people; a JSON string always becomes its characters.
func plainText(p Payload) string {
	if p.Kind == JSON {
		if text, ok := rawjson.Unquote(p.Data, nil); ok {
			return string(text)
		}
	}
	return string(AppendText(nil, p))
}
