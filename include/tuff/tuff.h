/* tuff.h: everything of tuff's public interface. */
#ifndef TUFF_TUFF_H
#define TUFF_TUFF_H

#include "tuff/device.h"
#include "tuff/graph.h"
#include "tuff/model.h"
#include "tuff/pipeline.h"
#include "tuff/status.h"
#include "tuff/tokenizer.h"
#include "tuff/train.h"
#include "tuff/verify.h"

#endif
