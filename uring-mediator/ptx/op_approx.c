/* SPDX-License-Identifier: MIT */
#include "parse.h"
const struct op_def ops_approx[] = {{NULL, 0, NULL, 0}};
