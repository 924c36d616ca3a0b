package nats

import "strings"

// keyEscape begins what stands for a byte that a key cannot have: =2E. Alone it is the empty
// channel.
const keyEscape = '='

// The first tokens of the bucket's keys.
const (
	channelKeys = "c."
	leaseKeys   = "lease."
)

// channelKey returns the key of a channel. Letters, digits, dashes, underscores and slashes
// stay readable.
func channelKey(channel string) string {
	dst := []byte(channelKeys)
	if channel == "" {
		return string(append(dst, keyEscape))
	}
	for i := range len(channel) {
		if c := channel[i]; plainInKey(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, keyEscape, upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(dst)
}

// channelOf returns the channel of a key; ok is false if it is not the key of one.
func channelOf(key string) (channel string, ok bool) {
	text, ok := strings.CutPrefix(key, channelKeys)
	if !ok || text == "" {
		return "", false
	}
	if text == string(keyEscape) {
		return "", true
	}
	dst := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == keyEscape:
			if i+2 >= len(text) {
				return "", false
			}
			high, low := strings.IndexByte(upperHex, text[i+1]), strings.IndexByte(upperHex, text[i+2])
			if high < 0 || low < 0 || plainInKey(byte(high<<4|low)) {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		case !plainInKey(c):
			return "", false
		}
		dst = append(dst, c)
	}
	return string(dst), true
}

func plainInKey(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '/'
}
