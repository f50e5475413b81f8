package config

import (
	"fmt"
	"net/url"
	"strings"
)

func parseURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

func apiURL(text string) func(*Config) {
	return func(c *Config) { c.APIURL = parseURL(text) }
}

// show returns all of a configuration, as Config's own methods do not.
func show(c Config) string {
	type plain Config
	var text strings.Builder
	fmt.Fprintf(&text, "%+v", plain(c))
	for _, token := range c.Tokens {
		fmt.Fprintf(&text, "\n\t%s: %s %q", token.Name, token.Source, token.Source.held.Reveal())
	}
	return text.String()
}
