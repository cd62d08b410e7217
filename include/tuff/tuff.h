/* tuff.h: everything of tuff's public interface. */
#ifndef TUFF_TUFF_H
#define TUFF_TUFF_H

#include "tuff/device.h"
#include "tuff/graph.h"
#include "tuff/status.h"

#endif
