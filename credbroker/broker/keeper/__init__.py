"""Does unasked what is due: renews ahead, keeps grants from idling out, clears away what is over."""
