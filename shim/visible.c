/* SPDX-License-Identifier: MIT */
/*
 * CUDA_VISIBLE_DEVICES, as the CUDA programming guide describes it. Pure
 * functions, used once by device.c.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "device.h"

static void format_uuid(const uint8_t u[16], char text[48])
{
	snprintf(text, 48, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

/* The one device whose UUID begins with the text; -1 if none or several do. */
static int by_uuid(const char *text, size_t length, int count, const uint8_t (*uuids)[16])
{
	int i, found = -1;
	char uuid[48];

	if (length <= 4)
		return -1;
	for (i = 0; i < count; i++) {
		format_uuid(uuids[i], uuid);
		if (strncasecmp(uuid, text, length))
			continue;
		if (found >= 0)
			return -1;
		found = i;
	}
	return found;
}

static int by_ordinal(const char *text, size_t length, int count)
{
	int value = 0;
	size_t i;

	for (i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = 10 * value + (text[i] - '0');
		if (value >= count)
			return -1;
	}
	return length ? value : -1;
}

int vgpu_visible_devices(const char *text, int count, const uint8_t (*uuids)[16], int *chosen)
{
	size_t length;
	int n = 0, one, i;

	if (!text) {
		for (i = 0; i < count; i++)
			chosen[i] = i;
		return count;
	}
	for (;; text++) {
		text += strspn(text, " ");
		length = strcspn(text, ",");
		while (length && text[length - 1] == ' ')
			length--;
		one = length > 4 && !strncasecmp(text, "GPU-", 4) ? by_uuid(text, length, count, uuids) :
								     by_ordinal(text, length, count);
		if (one < 0)
			return n;
		for (i = 0; i < n; i++)
			if (chosen[i] == one)
				return 0;
		chosen[n++] = one;
		text += strcspn(text, ",");
		if (!*text || n == count)
			return n;
	}
}
